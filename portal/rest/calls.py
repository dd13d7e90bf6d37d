"""Calls: the list, and one of them. Who sees what is as on the pages."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid, NotFound
from portal.registry.models import Key
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Listed, Moment, Number, Paging, Told
from portal.traffic import calls
from portal.traffic.calls import CallView
from portal.traffic.filters import Filters
from portal.traffic.scope import Scope as View
from portal.web import call_filters, scopes
from portal.web.guards import me
from portal.web.told import told

route = tagged("Calls")

Class = Literal["2xx", "3xx", "4xx", "429", "5xx", "none"]


class CallAnswer(Told):
    """One request through the gateway. Times are microseconds."""

    id: str
    at: Instant
    api: str | None
    """`<team>/<slug>/<version>`, or the number of a deleted one."""
    release: int | None
    operation: str | None
    """Id of the API's operation; null for a call that its release does not describe."""
    consumer: str | None
    """`<team>/<slug>`, or the number of a deleted one."""
    method: str | None
    host: str | None
    path: str | None
    """Without the query."""
    status: int
    """0 when the client went away before any answer."""
    reason: str
    """`ok`, or why the gateway answered as it did."""
    bytes_in: int
    bytes_out: int
    total_us: int | None
    upstream_us: int | None
    target: str | None
    attempts: int | None
    client_request_id: str | None
    node: str
    source: str
    is_masked: bool
    """It is a call of another team's consumer: the three below are not told."""
    key: str | None
    """The 12 characters after `pco_`."""
    address: str | None
    user_agent: str | None


class ExplainedCall(CallAnswer):
    why: str
    """Why it was answered as it was, in sentences, with what is known of it now."""


class Calls(Listed):
    items: list[CallAnswer]
    note: str | None
    """A sentence when the search did not go as far back as was asked."""


class CallSearch(Paging):
    model_config = ConfigDict(populate_by_name=False)

    status: Annotated[str, Field(pattern=r"^([1-5][0-9][0-9]|[2-5]xx|none)$")] | None = None
    """A number, or a class: 2xx, 3xx, 4xx (without 429), 429, 5xx, none (no answer)."""
    reason: Annotated[str, Field(max_length=40)] | None = None
    api: Annotated[str, Field(max_length=200)] | None = None
    """`<team>/<slug>/<version>`."""
    operation: Annotated[str, Field(max_length=63)] | None = None
    """Id of an operation; `-` for calls that none describes."""
    consumer: Annotated[str, Field(max_length=200)] | None = None
    """`<team>/<slug>`."""
    key: Annotated[str, Field(max_length=60)] | None = None
    """The first characters of a key's id, at least four."""
    method: Annotated[str, Field(max_length=20)] | None = None
    path: Annotated[str, Field(max_length=2000)] | None = None
    """The beginning of the path."""
    min_ms: Annotated[Number, Field(ge=0, le=999_999_999)] | None = None
    since: Moment | None = None
    until: Moment | None = None


_AS_ON_PAGES = {"since": "from", "until": "to"}


@route("GET", "/calls", Permission.SIGNED_IN, scope=Scope.READ, query=CallSearch, answer=Calls)
def index(session: Session, query: CallSearch) -> Calls:
    """Calls of your APIs and consumers, the newest first; all to administrators.

    With filters that no index helps, 24 hours are searched at once: `note` says so.
    """
    scope = scopes.scope_of(session, me())
    page = calls.list_calls(session, scope, _filters(session, scope, query), query.cursor or None, query.limit)
    return Calls(items=_shown(session, scope, page.calls), note=page.note, next=page.older)


@route("GET", "/calls/<request_id>", Permission.SIGNED_IN, scope=Scope.READ, answer=ExplainedCall)
def show(session: Session, request_id: str) -> ExplainedCall:
    """One call, by the id that the gateway gave it (`X-Request-Id`), and why it was answered as it was."""
    scope = scopes.scope_of(session, me())
    found = calls.find_call(session, scope, request_id)
    if found is None:
        raise NotFound()
    return ExplainedCall(**_shown(session, scope, [found])[0].model_dump(), why=told(session, found))


def _filters(session: Session, scope: View, query: CallSearch) -> Filters:
    """Raises Invalid with a sentence for each filter that cannot be meant."""
    typed = {}
    for name in CallSearch.model_fields.keys() - Paging.model_fields.keys():
        value = getattr(query, name)
        if value is not None:
            typed[name] = value.isoformat() if name in _AS_ON_PAGES else str(value)
    wrong = {}
    for name, value in typed.items():
        asked = call_filters.read(session, scope, {_AS_ON_PAGES.get(name, name): value})
        if asked.mistakes:
            wrong[name] = asked.mistakes[0]
    if wrong:
        raise Invalid(wrong)
    asked = call_filters.read(session, scope, {_AS_ON_PAGES.get(name, name): value for name, value in typed.items()})
    if asked.mistakes:
        raise Invalid({"until": asked.mistakes[0]})
    return asked.filters


def _shown(session: Session, scope: View, found: Iterable[CallView]) -> list[CallAnswer]:
    found = list(found)
    apis = scopes.name_apis(session, scope, [call.api_id for call in found])
    consumers = scopes.name_consumers(session, scope, [call.consumer_id for call in found])
    ids = {call.key_id for call in found if call.key_id}
    keys = {id: public_id for id, public_id in session.execute(select(Key.id, Key.public_id).where(Key.id.in_(ids)))}
    return [
        CallAnswer(
            id=call.request_id,
            at=call.at,
            api=apis[call.api_id].label if call.api_id else None,
            release=call.release,
            operation=call.operation or None,
            consumer=consumers[call.consumer_id].label if call.consumer_id else None,
            method=call.method,
            host=call.host,
            path=call.path,
            status=call.status,
            reason=call.reason,
            bytes_in=call.bytes_in,
            bytes_out=call.bytes_out,
            total_us=call.total_us,
            upstream_us=call.upstream_us,
            target=call.target,
            attempts=call.attempts,
            client_request_id=call.client_request_id,
            node=call.node,
            source=call.source,
            is_masked=call.masked,
            key=keys.get(call.key_id or 0),
            address=call.address,
            user_agent=call.user_agent,
        )
        for call in found
    ]
