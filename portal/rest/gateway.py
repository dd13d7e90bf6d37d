"""The gateway: its nodes, what they serve, what is wrong with them."""

from sqlalchemy.orm import Session

from portal import gateway
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import NotFound
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Told
from portal.web.gateway import envoy_files, meaning_of

route = tagged("Gateway")


class NodeProblem(Told):
    api: str
    """`<team>/<slug>/<version>`; empty for a problem of the node as a whole."""
    detail: str


class NodeAnswer(Told):
    name: str
    state: str
    """`starting`, `serving`, `troubled`, `down`, `stopped` or `silent`."""
    detail: str
    revision: int
    is_current: bool
    """Whether it serves what is published now, as far as anybody knows."""
    problems: list[NodeProblem]
    envoy_version: str
    started_at: Instant
    seen_at: Instant
    published_at: Instant | None
    publish_ms: int | None
    log_waiting: int
    """Bytes of access log that are not stored as calls yet."""


class GatewayAnswer(Told):
    revision: int
    """Grows with every change that nodes must know."""
    live_on: int
    """How many nodes serve it."""
    of: int
    """How many there are, without stopped ones."""
    nodes: list[NodeAnswer]


class EnvoyFile(Told):
    name: str
    meaning: str
    size: int
    """Bytes."""


class EnvoyFiles(Told):
    items: list[EnvoyFile]


class WholeEnvoyFile(EnvoyFile):
    text: str


@route("GET", "/gateway", Permission.ADMINISTER, scope=Scope.ADMIN, answer=GatewayAnswer)
def show(session: Session) -> GatewayAnswer:
    """All nodes, and on how many of them the newest revision is live."""
    covered = gateway.coverage(session)
    return GatewayAnswer(
        revision=covered.revision,
        live_on=covered.live_on,
        of=covered.of,
        nodes=[
            NodeAnswer(
                name=node.name,
                state=node.state,
                detail=node.sentence,
                revision=node.revision,
                is_current=node.is_current,
                problems=[NodeProblem(api=each.api, detail=each.sentence) for each in node.problems],
                envoy_version=node.envoy_version,
                started_at=node.started_at,
                seen_at=node.seen_at,
                published_at=node.published_at,
                publish_ms=node.publish_ms,
                log_waiting=node.log_waiting,
            )
            for node in gateway.nodes(session)
        ],
    )


@route("GET", "/gateway/files", Permission.ADMINISTER, scope=Scope.ADMIN, answer=EnvoyFiles)
def files(session: Session) -> EnvoyFiles:
    """The files that Envoy gets with the next publish, made anew. With thousands of APIs it takes a second."""
    found = envoy_files(session)
    return EnvoyFiles(
        items=[EnvoyFile(name=name, meaning=meaning_of(name), size=len(made)) for name, made in found.items()]
    )


@route("GET", "/gateway/files/<path:name>", Permission.ADMINISTER, scope=Scope.ADMIN, answer=WholeEnvoyFile)
def file(session: Session, name: str) -> WholeEnvoyFile:
    """One of them. Secrets are hidden, and of key data there is only how much of it."""
    made = envoy_files(session).get(name)
    if made is None:
        raise NotFound(f"Envoy gets no file {name[:100]}. Choose one from the list.")
    return WholeEnvoyFile(name=name, meaning=meaning_of(name), size=len(made), text=made.decode(errors="replace"))
