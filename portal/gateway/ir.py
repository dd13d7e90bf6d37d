"""What the compiler reads: frozen values, no rows, no clock, no environment.

`read.py` makes a `Snapshot` from the database, `compile.py` makes Envoy's files from it. Instants are whole seconds
since 1970 (UTC), because that is what the key file stores and the key filter compares with its clock.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

KeyPlace = Literal["header", "bearer", "query"]
Standing = Literal["approved", "suspended", "pending"]
"""Of a subscription. Only the first lets calls through; the others are known so that callers are told which it is."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address that calls may be sent to. `host` is a name or an address without brackets."""

    host: str
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Credential:
    """A header that every call carries to the targets, whatever its client has sent. Lower case; the value as sent."""

    header: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What the gateway shows to targets that ask who it is."""

    edition: str
    """Equal editions are equal certificates; it says nothing about the key."""
    chain_pem: str = field(repr=False)
    key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other sites may call, with everything that `registry/access.py` adds to what was written down."""

    origins: tuple[str, ...]
    """`https://app.example.com`, `https://*.example.com` for all below a domain, or `*`."""
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed_headers: tuple[str, ...]
    credentials: bool = False
    max_age_s: int = 600


@dataclass(frozen=True, slots=True)
class AddressLists:
    """Networks such as 10.0.0.0/8 that calls may come from. `deny` wins; an empty `allow` is everywhere."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Jwt:
    """Tokens that an API takes beside keys or instead of them."""

    issuer: str
    audiences: tuple[str, ...]
    """One of which the token must name; none for any."""
    claim: str
    """The one that says who calls."""
    source: str
    """Where the keys come from: an address, or a hash of what was pasted."""
    forward: bool = False
    """Whether the token goes on to the targets."""
    jwks: str = ""
    """The keys that tokens are verified with, as JSON; "" while there are none. Live at once, unlike the rest."""

    @property
    def provider(self) -> str:
        """A hash of what is asked of tokens, whatever the keys are now; APIs that ask the same share a provider."""
        parts = repr((self.issuer, sorted(self.audiences), self.claim, self.source))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    @property
    def header(self) -> str:
        """Carries the claim of a verified token to the key filter, and no farther."""
        return f"x-consumer-claim-{self.provider}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an API's calls are sent. APIs with equal upstreams share one Envoy cluster."""

    targets: tuple[Target, ...]
    tls: bool = False
    tls_verify: bool = True
    ca_pem: str | None = None
    """Certificates that the targets are verified with; None stands for those of the system."""
    connect_timeout_ms: int = 5_000
    client_certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """One published API as the gateway serves it: the live release and its live settings."""

    id: int
    release: int
    """Number of the live release. It stands in the route's name and so in the log."""
    label: str
    """What people call it, `<team>/<slug>/<version>`; problems and generated names carry it."""
    upstream: Upstream
    base_path: str = "/"
    """The targets' own path, put before the rest of the call's path."""
    path: str | None = None
    """Prefix under any host, such as `/orders/v1`; removed before the call is sent on."""
    host: str | None = None
    """Host name that belongs to this API alone; the path is then left as it is."""
    key_place: KeyPlace = "header"
    key_name: str = "x-api-key"
    """Header (lower case) or query parameter that holds the key; unused for `bearer`."""
    takes_key: bool = True
    takes_basic: bool = False
    """Whether user name and password will do, in Authorization."""
    public: bool = False
    """Whether nobody is asked for anything. A key is looked for all the same, so that none reaches the targets."""
    first_byte_timeout_ms: int = 30_000
    idle_timeout_ms: int = 300_000
    retries: int = 1
    """Attempts after a failed connection, for idempotent methods only."""
    body_limit_bytes: int = 10_000_000
    paused: bool = False
    overall_per_second: int | None = None
    """Calls that one node lets through, of all subscriptions together; None for any number."""
    deprecated: int | None = None
    """Since when, or from when on; callers are told either way."""
    sunset: int | None = None
    """When it is to end, as its owner says; nothing ends by itself."""
    successor: str | None = None
    """Label of the API to use instead, where callers may know of it."""
    retired: bool = False
    """Whether every call is answered with 410. No target is needed any more."""
    secret: str | None = None
    """Name of the team's secret that the release wants; it stands in `credential` or in the upstream's certificate."""
    credential: Credential | None = None
    lacks: str | None = None
    """Why the targets cannot be given what they ask for, in a sentence. No call is sent to them without."""
    cors: Cors | None = None
    addresses: AddressLists | None = None
    jwt: Jwt | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of each subscription under a plan. A limit of None does not exist."""

    id: int
    per_second: int | None = None
    per_second_burst: int | None = None
    """Calls that may come at once; None stands for one second's worth."""
    per_minute: int | None = None
    per_minute_burst: int | None = None
    quota_day: int | None = None
    quota_month: int | None = None
    """Calls of a day and of a month of the calendar. They are counted elsewhere; here they are only told."""


@dataclass(frozen=True, slots=True)
class OperationLimit:
    """Limits of each subscription under a plan for one operation of an API, beside those of the plan."""

    id: int
    """Names its buckets."""
    plan_id: int
    api_id: int
    operation: str
    """Its stable id; the live release may have no such operation."""
    per_second: int | None = None
    per_second_burst: int | None = None
    per_minute: int | None = None
    per_minute_burst: int | None = None


class Operation(NamedTuple):
    """Of an API's live release."""

    method: str
    path: str
    """Template."""
    name: str
    """Its stable id."""


class Consumer(NamedTuple):
    id: int
    public_id: str
    """`con_` and 16 base32 characters."""
    suspended: bool = False
    """Not since when: a clock that went ahead must not let its keys live on."""
    everyone: bool = False
    """Whether it stands for all who call without a key; its subscriptions are to public APIs."""


class Subscription(NamedTuple):
    id: int
    consumer_id: int
    api_id: int
    plan_id: int
    starts: int
    ends: int | None
    standing: Standing = "approved"
    blocked_until: int | None = None
    """When the quota that is used up begins anew; long past or None where there is none."""


class Subject(NamedTuple):
    """What tokens call a subscription's consumer at its API."""

    subscription_id: int
    text: str


class Key(NamedTuple):
    sha256: bytes
    public_id: str
    """The 12 base62 characters after `pco_` or `pcb_`."""
    consumer_id: int
    expires: int | None
    revoked: int | None
    """Read from the database, every revocation is long past; see `read.py`."""
    id: int = 0
    """What `Snapshot.restrictions` calls it."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What one key may do less than its consumer."""

    subscriptions: tuple[int, ...] = ()
    """Ids of those that it may use; none for all."""
    read_only: bool = False
    """Whether it may only GET, HEAD and OPTIONS."""
    operations: tuple[tuple[int, str, str], ...] = ()
    """API, method and path template: all that it may do at the APIs that they name."""
    addresses: tuple[str, ...] = ()
    """Networks that it may be used from, such as 10.0.0.0/8; none for everywhere."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a gateway has to know, read in one transaction at one revision. Order carries no meaning."""

    revision: int
    apis: tuple[Api, ...] = ()
    plans: tuple[Plan, ...] = ()
    consumers: Sequence[Consumer] = ()
    subscriptions: Sequence[Subscription] = ()
    keys: Sequence[Key] = ()
    subjects: Sequence[Subject] = ()
    restrictions: Mapping[int, Restriction] = field(default_factory=dict)
    """By `Key.id`, of keys that may not do all that their consumer may."""
    operation_limits: tuple[OperationLimit, ...] = ()
    operations: Mapping[int, tuple[Operation, ...]] = field(default_factory=dict)
    """By `Api.id`, of APIs that `operation_limits` name: all that the live release describes, in its order."""

    def everyone(self) -> list[Subscription]:
        """Subscriptions of callers without a key."""
        those = {consumer.id for consumer in self.consumers if consumer.everyone}
        return [each for each in self.subscriptions if each.consumer_id in those] if those else []


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node's Envoy listens and keeps its files. Changes only with a restart of the node."""

    directory: Path
    """Absolute; holds one folder a watched resource, the key files, the sockets and Envoy's output."""
    bind: str = "127.0.0.1"
    port: int = 8080
    trusted_hops: int = 0
    """How many proxies in front are believed in X-Forwarded-For (Envoy's `xff_num_trusted_hops`)."""
    workers: int | None = None
    """Envoy's worker threads; None lets Envoy take one a core."""
    tls: bool = False
    """Whether clients speak https; the certificate then lies in `tls/tls.json`."""
    portal: str = ""
    """Where people reach the portal, without a slash at its end; answers link to its docs."""
    ca_bundle: Path | None = None
    """The system's certificate authorities; None stands for a machine that has none, so that https is refused."""

    @property
    def admin_socket(self) -> Path:
        return self.directory / "admin.sock"

    @property
    def output(self) -> Path:
        """What Envoy itself says."""
        return self.directory / "log" / "envoy.out"

    @property
    def access_log(self) -> Path:
        return self.directory / "log" / "access.log"
