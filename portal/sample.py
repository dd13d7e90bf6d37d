"""The sample that a first `make run` makes: httpbin behind the gateway, a plan, a consumer, and some calls."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import CheckConstraint, ForeignKey, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal import accounts, openapi, registry
from portal.accounts import Person, Team
from portal.db import Base, UTCDateTime, utcnow
from portal.registry import Token, descriptions
from portal.registry.models import Api, Consumer, Plan, Subscription


class Sample(Base):
    """One row while there is a sample. What a person deleted of it by hand is None."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    port: Mapped[int]
    """Loopback port that its httpbin listens on."""
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="SET NULL"))
    api_id: Mapped[int | None] = mapped_column(ForeignKey("api.id", ondelete="SET NULL"))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plan.id", ondelete="SET NULL"))
    consumer_id: Mapped[int | None] = mapped_column(ForeignKey("consumer.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


def exists(session: Session) -> bool:
    return port(session) is not None


def port(session: Session) -> int | None:
    """Where the sample's httpbin must listen; None when there is no sample."""
    return session.scalar(select(Sample.port))


def create(session: Session, upstream_url: str, by: Person) -> Token:
    """Everything of the sample, published, and a key for `send_calls`. `upstream_url` is `http://127.0.0.1:<port>`."""
    team = accounts.create_team(session, slug="sample", name="Sample", owner=by, may_publish=True)
    plan = registry.create_plan(
        session,
        team,
        slug="sample",
        name="Sample",
        description="For trying things out: 20 calls a second, 600 a minute.",
        per_second=20,
        per_minute=600,
    )
    source = (Path(__file__).parent / "sample.openapi.yaml").read_bytes()
    described = descriptions.keep(session, source, openapi.read(source))
    document = _document(upstream_url, described.sha256)
    api = registry.create_api(session, team, slug="httpbin", version="v1", document=document, by=by)
    session.flush()  # publishing and offering plans look at ids
    registry.offer_plans(session, api, [plan])
    registry.publish(session, api, by=by, expected=api.draft_number, note="Made by the first start.")
    consumer = registry.create_consumer(
        session, team, slug="sample", name="Sample", description="Makes the calls of the first minute."
    )
    registry.subscribe(session, consumer, api, plan, by=by)
    _, token = registry.issue(session, consumer, by=by, label="sample calls")
    session.flush()  # the row below refers to ids
    session.add(
        Sample(
            id=1,
            port=urlsplit(upstream_url).port,
            team_id=team.id,
            api_id=api.id,
            plan_id=plan.id,
            consumer_id=consumer.id,
        )
    )
    return token


def move(session: Session, new_port: int) -> None:
    """Let the sample's upstream listen elsewhere: the old port was taken by another program."""
    sample = session.scalars(select(Sample)).one()
    api = session.get(Api, sample.api_id) if sample.api_id else None
    old, new = f"http://127.0.0.1:{sample.port}", f"http://127.0.0.1:{new_port}"
    sample.port = new_port
    if api is None or old not in (target["url"] for target in api.draft["upstream"]["targets"]):
        return  # somebody made it their own
    was_live = not api.has_unpublished_changes
    upstream = api.draft["upstream"]
    targets = [each | {"url": new} if each["url"] == old else each for each in upstream["targets"]]
    document = registry.read_document(api.draft | {"upstream": upstream | {"targets": targets}})
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)
    if was_live:
        registry.publish(session, api, by=None, expected=api.draft_number, note=f"The sample moved to port {new_port}.")


def remove(session: Session) -> bool:
    """Take the sample away; whether there was one. Its calls stay in the log.

    The plan and the team stay when somebody has put them to use. The httpbin process is not started again; until
    then it listens on loopback and nobody calls it.
    """
    sample = session.scalar(select(Sample))
    if sample is None:
        return False
    things: list[Any] = [
        sample.api_id and session.get(Api, sample.api_id),
        sample.consumer_id and session.get(Consumer, sample.consumer_id),
        sample.plan_id and session.get(Plan, sample.plan_id),
        sample.team_id and session.get(Team, sample.team_id),
    ]
    api, consumer, plan, team = things
    session.delete(sample)
    session.flush()  # nothing refers to them any more
    if consumer:
        registry.delete_consumer(session, consumer)
    if api:
        registry.delete_api(session, api)
    session.flush()  # what is counted below is what others have made
    if plan and not plan.apis and _unused(session, plan):
        registry.delete_plan(session, plan)
    session.flush()
    if team and not registry.belongings(session, team):
        session.delete(team)
    return True


def send_calls(gateway: str, token: Token, stop: threading.Event, *, calls: int = 260, pause: float = 0.1) -> None:
    """Call the sample through `gateway` (`http://host:port` or https) for about half a minute, or until `stop` is set.

    Mostly calls that go well, some that the upstream or the gateway refuses, and once more at a time than the plan
    allows: so that lists and charts show each kind. A call that fails is one more thing to see, and not ours to tell.
    """
    import requests  # a fifth of a second that only the first start needs
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    paths = itertools.cycle(_PATHS)

    def send(path: str, key: str | None) -> None:
        headers = {"User-Agent": "portico-sample"} | ({"X-API-Key": key} if key else {})
        try:
            # The gateway of this very machine: its certificate has no reason to name the address that we ask.
            requests.get(f"{gateway}/httpbin{path}", headers=headers, timeout=3, allow_redirects=False, verify=False)
        except requests.RequestException:
            return

    with ThreadPoolExecutor(8, thread_name_prefix="sample") as threads:
        for n in range(calls):
            burst = calls // 2 <= n < calls // 2 + 40
            threads.submit(send, "/get" if burst else next(paths), None if n % 29 == 28 else token.value)
            if not burst and stop.wait(pause):
                threads.shutdown(cancel_futures=True)
                return


_PATHS = (
    "/get",
    "/uuid",
    "/json",
    "/headers",
    "/status/200",
    "/anything/orders/17",
    "/get?page=2",
    "/status/404",
    "/delay/0.3",
    "/bytes/2048",
    "/ip",
    "/html",
    "/user-agent",
    "/status/500",
    "/cache",
    "/anything/orders",
    "/gzip",
    "/redirect/1",
    "/delay/0.1",
)


def _document(upstream_url: str, source: str) -> registry.Document:
    return registry.read_document(
        {
            "name": "httpbin",
            "description": "A sample: it answers with what it was asked. `/get`, `/status/404`, `/delay/1`, …",
            "path": "/httpbin",
            "host": "httpbin.localhost",
            "upstream": {"targets": [{"url": upstream_url}]},
            "tags": ["echo", "sample"],
            "openapi": source,
        }
    )


def _unused(session: Session, plan: Plan) -> bool:
    return session.scalar(select(Subscription.id).where(Subscription.plan_id == plan.id).limit(1)) is None
