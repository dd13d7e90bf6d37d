"""From the database to a `Snapshot`: the only SQL of the gateway.

Everything is read in one transaction. A node reads over and over: its `Reader` parses each release once, since releases
never change, and takes rows of keys straight from the driver, since a new key among 100 000 must reach Envoy within a
second (80 ms this way, 310 ms as SQLAlchemy rows).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from portal.accounts.models import Team
from portal.errors import Invalid
from portal.gateway import credentials, ir, token_keys
from portal.gateway.check import Problem
from portal.gateway.credentials import Secret
from portal.gateway.read_operations import Operations
from portal.registry.document import Credential, Document, read_document
from portal.registry.models import (
    Api,
    Consumer,
    Key,
    KeyOperation,
    KeySubscription,
    Plan,
    Release,
    Revision,
    Subscription,
    SubscriptionState,
    UpstreamSecret,
)
from portal.registry.secrets import open_secret
from portal.registry.visibility import is_told
from portal.vault import Unreadable, Vault

_TOLD = (SubscriptionState.APPROVED, SubscriptionState.SUSPENDED, SubscriptionState.PENDING)
"""States that callers hear of; with a subscription in another one they are as good as not subscribed."""
_SUBJECTS = select(Subscription.id, Subscription.subject).where(
    Subscription.subject.is_not(None), Subscription.state.in_(_TOLD)
)
_AT_ONCE = 500
"""Documents asked for in one statement; databases limit how many values one may carry."""


class Reading(NamedTuple):
    snapshot: ir.Snapshot
    problems: list[Problem]
    """APIs whose stored release this version of Portico cannot read; the snapshot is without them."""


class _Live(NamedTuple):
    """What decides how an API is served. Equal rows mean an equal `ir.Api`."""

    id: int
    release_id: int
    number: int
    team_id: int
    team: str
    slug: str
    version: str
    paused: bool
    overall_per_second: int | None
    deprecated: int | None
    sunset: int | None
    retired: bool
    successor: str | None


class _Wanting(NamedTuple):
    """An API whose targets ask for a credential: served as what `credentials.py` makes of it."""

    api: ir.Api
    credential: Credential


@contextmanager
def consistent(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one instant of the database, however long the reading takes."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # Not read-only as well: the pool would undo it with READ WRITE, and whoever has the connection next could
            # write to a server whose default is read-only.
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection  # SQLite's first SELECT fixes the instant by itself


def read_revision(connection: Connection) -> int:
    return connection.scalar(select(Revision.n)) or 0


def read_snapshot(connection: Connection) -> ir.Snapshot:
    """For one look, with secrets masked; whoever looks again keeps a Reader."""
    return Reader().read(connection).snapshot


class Reader:
    """Reads snapshots and remembers what cannot change. An API that did not change is the same object again.

    `vault` gives this moment's vault, since keys come and go while a node runs; without one, secrets are masked.
    """

    def __init__(self, vault: Callable[[], Vault] | None = None) -> None:
        self._vault = vault
        self._apis: dict[_Live, ir.Api | _Wanting | Problem] = {}
        self._secrets: dict[tuple[int, str], Secret] = {}
        """By team and name, as they were read last: what is open need not be opened again."""
        self._given: dict[_Live, tuple[Secret | None, ir.Api]] = {}
        self._token_keys = token_keys.Reader()
        self._operations = Operations()

    def read(self, connection: Connection) -> Reading:
        """Raises sqlalchemy.exc.DBAPIError when the database cannot be reached."""
        revision = read_revision(connection)
        apis = self._read_apis(connection)
        operation_limits, operations = self._operations.read(connection)
        snapshot = ir.Snapshot(
            revision=revision,
            apis=tuple(api for api in apis if isinstance(api, ir.Api)),
            plans=tuple(
                ir.Plan(*row)
                for row in connection.execute(
                    select(
                        Plan.id,
                        Plan.per_second,
                        Plan.per_second_burst,
                        Plan.per_minute,
                        Plan.per_minute_burst,
                        Plan.quota_day,
                        Plan.quota_month,
                    )
                )
            ),
            consumers=list(
                map(
                    ir.Consumer._make,
                    _rows(
                        connection,
                        select(Consumer.id, Consumer.public_id, Consumer.suspended_at.is_not(None), Consumer.everyone),
                    ),
                )
            ),
            subscriptions=list(
                map(
                    ir.Subscription._make,
                    _rows(
                        connection,
                        select(
                            Subscription.id,
                            Subscription.consumer_id,
                            Subscription.api_id,
                            Subscription.plan_id,
                            _seconds(connection, Subscription.starts_at),
                            _seconds(connection, Subscription.ends_at),
                            Subscription.state,
                            _seconds(connection, Subscription.blocked_until),
                        ).where(Subscription.state.in_(_TOLD)),
                    ),
                )
            ),
            keys=list(
                map(
                    ir.Key._make,
                    _rows(
                        connection,
                        select(
                            Key.sha256,
                            Key.public_id,
                            Key.consumer_id,
                            _seconds(connection, Key.expires_at),
                            # Not since when: a clock that went ahead must not let a revoked key live on.
                            case((Key.revoked_at.is_not(None), 1)),
                            Key.id,
                        ),
                    ),
                )
            ),
            subjects=list(map(ir.Subject._make, _rows(connection, _SUBJECTS))),
            restrictions=_restrictions(connection),
            operation_limits=operation_limits,
            operations=operations,
        )
        return Reading(snapshot, [problem for problem in apis if isinstance(problem, Problem)])

    def preview(self, connection: Connection, api_id: int, values: dict[str, Any], number: int) -> ir.Api | Problem:
        """One API, published or not, as it would be served with the document `values` as its release `number`."""
        found = connection.execute(_live(connection, also_drafts=True).where(Api.id == api_id)).one()
        row = _Live(*found)._replace(release_id=0, number=number)
        made = _served(row, values)
        if not isinstance(made, _Wanting):
            return self._token_keys.given(connection, [made])[0]
        self._secrets = self._read_secrets(connection)
        return self._token_keys.given(connection, [self._give(row, made)[1]])[0]

    def _read_apis(self, connection: Connection) -> list[ir.Api | Problem]:
        live = [_Live(*row) for row in connection.execute(_live(connection))]
        new = [row for row in live if row not in self._apis]
        for start in range(0, len(new), _AT_ONCE):
            some = {row.release_id: row for row in new[start : start + _AT_ONCE]}
            statement = select(Release.id, Release.document).where(Release.id.in_(some))
            for release_id, values in connection.execute(statement):
                row = some[release_id]
                self._apis[row] = _served(row, values)
        self._apis = {row: self._apis[row] for row in live}
        wanting = {row: found for row, found in self._apis.items() if isinstance(found, _Wanting)}
        self._secrets = self._read_secrets(connection) if wanting else {}
        self._given = {row: self._give(row, found) for row, found in wanting.items()}
        served = [self._given[row][1] if isinstance(found, _Wanting) else found for row, found in self._apis.items()]
        return self._token_keys.given(connection, served)

    def _read_secrets(self, connection: Connection) -> dict[tuple[int, str], Secret]:
        found = {}
        statement = select(
            UpstreamSecret.team_id,
            UpstreamSecret.name,
            UpstreamSecret.kind,
            UpstreamSecret.edition,
            UpstreamSecret.sealed,
        )
        vault = self._vault() if self._vault is not None else None
        for team_id, name, kind, edition, sealed in connection.execute(statement):
            known = self._secrets.get((team_id, name))
            if known is not None and known.edition == edition and known.texts is not None:
                found[team_id, name] = known
            else:
                found[team_id, name] = Secret(kind, edition, _opened(sealed, vault))
        return found

    def _give(self, row: _Live, wanting: _Wanting) -> tuple[Secret | None, ir.Api]:
        secret = self._secrets.get((row.team_id, wanting.credential.secret))
        before = self._given.get(row)
        if before is not None and before[0] == secret:
            return before
        make = credentials.given if self._vault is not None else credentials.veiled
        return secret, make(wanting.api, wanting.credential, secret)


def _restrictions(connection: Connection) -> dict[int, ir.Restriction]:
    """By key; of those that may not do all that their consumer may."""
    found: dict[int, ir.Restriction] = {}
    columns = select(Key.id, Key.read_only, Key.addresses).where(or_(Key.read_only, cast(Key.addresses, Text) != "[]"))
    for key_id, read_only, addresses in connection.execute(columns):
        found[key_id] = ir.Restriction(read_only=read_only, addresses=tuple(addresses))
    chosen: defaultdict[int, list[int]] = defaultdict(list)
    for key_id, subscription_id in connection.execute(select(KeySubscription.key_id, KeySubscription.subscription_id)):
        chosen[key_id].append(subscription_id)
    described: defaultdict[int, list[tuple[int, str, str]]] = defaultdict(list)
    operations = select(KeyOperation.key_id, KeyOperation.api_id, KeyOperation.method, KeyOperation.path)
    for key_id, api_id, method, path in connection.execute(operations):
        described[key_id].append((api_id, method, path))
    for key_id in chosen.keys() | described.keys():
        found[key_id] = replace(
            found.get(key_id, ir.Restriction()),
            subscriptions=tuple(sorted(chosen.get(key_id, ()))),
            operations=tuple(sorted(described.get(key_id, ()))),
        )
    return found


def _live(connection: Connection, *, also_drafts: bool = False) -> Select[Any]:
    """The columns of `_Live`."""
    successor, its_team = aliased(Api), aliased(Team)
    columns: Select[Any] = (
        select(  # type: ignore[assignment]
            Api.id,
            Release.id,
            Release.number,
            Team.id,
            Team.slug,
            Api.slug,
            Api.version,
            Api.paused,
            Api.overall_per_second,
            _seconds(connection, Api.deprecated_at),
            _seconds(connection, Api.sunset_at),
            Api.retired_at.is_not(None),
            its_team.slug + "/" + successor.slug + "/" + successor.version,
        )
        .join(Release, Release.id == Api.live_release_id, isouter=also_drafts)
        .join(Team, Team.id == Api.team_id)
        .outerjoin(successor, and_(successor.id == Api.successor_id, is_told(Api, successor)))
        .outerjoin(its_team, its_team.id == successor.team_id)
    )
    return columns


def _opened(sealed: bytes, vault: Vault | None) -> Mapping[str, str] | None:
    if vault is None:
        return None
    try:
        return open_secret(sealed, vault)
    except Unreadable:
        return None


def _served(row: _Live, values: dict[str, Any]) -> ir.Api | _Wanting | Problem:
    label = f"{row.team}/{row.slug}/{row.version}"
    try:
        document = read_document(values)
    except Invalid as error:
        return Problem(label, f"Release {row.number} cannot be read by this version of Portico. {error}")
    first = document.upstream.targets[0].parts
    api = ir.Api(
        id=row.id,
        release=row.number,
        label=label,
        upstream=_upstream(document),
        base_path=first.path or "/",
        path=document.path,
        host=document.host,
        key_place=document.key.place,
        key_name=document.key.name.lower() if document.key.place == "header" else document.key.name,
        takes_key=document.authentication.key,
        takes_basic=document.authentication.basic,
        public=document.authentication.public is not None,
        first_byte_timeout_ms=document.upstream.first_byte_timeout_ms,
        idle_timeout_ms=document.upstream.idle_timeout_ms,
        retries=document.upstream.retries,
        body_limit_bytes=document.body_limit_bytes,
        paused=row.paused,
        overall_per_second=row.overall_per_second,
        deprecated=row.deprecated,
        sunset=row.sunset,
        retired=row.retired,
        successor=row.successor,
        cors=_cors(document),
        addresses=_addresses(document),
        jwt=token_keys.asked(document),
    )
    credential = document.upstream.credential
    return api if credential is None else _Wanting(api, credential)


def _cors(document: Document) -> ir.Cors | None:
    cors, key = document.cors, document.key
    if cors is None:
        return None
    return ir.Cors(
        cors.origins,
        cors.all_methods(),
        cors.all_headers(key.name if key.place == "header" else None),
        cors.all_exposed_headers(),
        cors.credentials,
        cors.max_age_s,
    )


def _addresses(document: Document) -> ir.AddressLists | None:
    lists = document.addresses
    return None if lists is None else ir.AddressLists(lists.allow, lists.deny)


def _upstream(document: Document) -> ir.Upstream:
    upstream = document.upstream
    tls = upstream.targets[0].parts.scheme == "https"
    return ir.Upstream(
        targets=tuple(
            ir.Target(target.parts.hostname or "", target.parts.port or (443 if tls else 80), target.weight)
            for target in upstream.targets
        ),
        tls=tls,
        tls_verify=upstream.tls_verify,
        ca_pem=upstream.ca_pem,
        connect_timeout_ms=upstream.connect_timeout_ms,
    )


def _seconds(connection: Connection, instant: Any) -> ColumnElement[int | None]:
    """Whole seconds since 1970, rounded down, so that no right lasts longer than was said."""
    if connection.dialect.name == "sqlite":
        # Without the fraction: SQLite counts in milliseconds and would round .9999 up.
        return cast(func.strftime("%s", func.substr(instant, 1, 19)), Integer)
    return cast(func.floor(func.extract("epoch", instant)), BigInteger)


def _rows(connection: Connection, statement: ClauseElement) -> Sequence[Any]:
    """The driver's own tuples, in the connection's transaction: SQLAlchemy's Row for each costs more than the rest."""
    text = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text)
        return cursor.fetchall()
    finally:
        cursor.close()
