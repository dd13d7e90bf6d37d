"""A whole installation, or a part of it, as values: what `flask export` writes and `flask apply` reads. Pure.

    Installation
    ├── teams       slug
    ├── categories  slug                     shelves of the catalogue, on which APIs stand
    ├── plans       team, slug
    ├── apis        team, slug, version      document, live_document, plans, live settings
    ├── consumers   team, slug               subscriptions, keys
    └── sources     sha256                   OpenAPI documents that APIs refer to

Things are flat and name their team, so that a file may hold any of them. People are not in it, nor is any secret: a
document names the secrets of its upstream, a key is its hash.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from portal.registry.categories import FURTHEST, LONGEST_DESCRIPTION
from portal.registry.document import Document
from portal.registry.installation.settings import SETTINGS
from portal.registry.installation.words import (
    ApiReference,
    ConsumerId,
    Instant,
    KeyId,
    Label,
    Line,
    Name,
    Networks,
    Sha256,
    Slug,
    Text,
    Version,
)
from portal.registry.plans import (
    LONGEST_PRICE,
    LONGEST_TERMS,
    MOST_A_DAY,
    MOST_A_MINUTE,
    MOST_A_MONTH,
    MOST_A_SECOND,
)

SCHEMA_VERSION = 1

Identity = tuple[str, ...]
"""The kind of a thing, then what its name is made of: `("api", "payments", "orders", "v1")`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeamEntry(_Part):
    slug: Slug
    name: Name
    may_publish: bool = False

    @property
    def identity(self) -> Identity:
        return "team", self.slug


class CategoryEntry(_Part):
    slug: Slug
    name: Name
    description: Annotated[Text, Field(max_length=LONGEST_DESCRIPTION)] = ""
    position: Annotated[int, Field(ge=0, le=FURTHEST)] = 0

    @property
    def identity(self) -> Identity:
        return "category", self.slug


def _sorted(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


class LimitedEntry(_Part):
    """An operation that the plan limits by itself."""

    api: ApiReference
    operation: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")]
    """Its stable id."""
    per_second: Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_second_burst: Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=MOST_A_MINUTE)] | None = None
    per_minute_burst: Annotated[int, Field(ge=1, le=MOST_A_MINUTE)] | None = None


def _by_operation(limits: tuple[LimitedEntry, ...]) -> tuple[LimitedEntry, ...]:
    return tuple(sorted(limits, key=lambda each: (each.api, each.operation)))


class PlanEntry(_Part):
    team: Slug
    slug: Slug
    name: Name
    description: Text = ""
    per_second: Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_second_burst: Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=MOST_A_MINUTE)] | None = None
    per_minute_burst: Annotated[int, Field(ge=1, le=MOST_A_MINUTE)] | None = None
    quota_day: Annotated[int, Field(ge=1, le=MOST_A_DAY)] | None = None
    quota_month: Annotated[int, Field(ge=1, le=MOST_A_MONTH)] | None = None
    approval: bool = False
    terms: Annotated[Text, Field(max_length=LONGEST_TERMS)] = ""
    price: Annotated[Line, Field(max_length=LONGEST_PRICE)] = ""
    public: bool = True
    chosen: Annotated[tuple[Slug, ...], AfterValidator(_sorted)] = ()
    """Teams that may choose it beside its own, where it is not public."""
    operations: Annotated[tuple[LimitedEntry, ...], AfterValidator(_by_operation)] = ()

    @model_validator(mode="after")
    def _is_of_the_team_anyway(self) -> Self:
        if self.team in self.chosen:
            raise ValueError(f"Consumers of {self.team} may choose it anyway. Take it out of `chosen`.")
        return self

    @property
    def identity(self) -> Identity:
        return "plan", self.team, self.slug


def _in_order(operations: "tuple[OperationEntry, ...]") -> "tuple[OperationEntry, ...]":
    return tuple(sorted(set(operations), key=lambda each: (each.api, each.path, each.method)))


class _ApiEntry(_Part):
    team: Slug
    slug: Slug
    version: Version
    published: bool = True
    note: Text = ""
    """Goes into the release that is made; alone it makes none."""
    plans: Annotated[tuple[Slug, ...], AfterValidator(_sorted)] | None = None
    """The team's plans that are offered; None says nothing about them, nor about the default."""
    default_plan: Slug | None = None
    """The one of them that is chosen for who chooses none."""
    document: Document
    """The draft."""
    live_document: Document | None = None
    """What callers have; None where that is the draft."""

    @property
    def identity(self) -> Identity:
        return "api", self.team, self.slug, self.version

    @property
    def live(self) -> Document | None:
        return (self.live_document or self.document) if self.published else None

    def setting(self, name: str) -> Any:
        return getattr(self, name)

    @model_validator(mode="after")
    def _is_live_or_not(self) -> Self:
        if self.published:
            return self
        if self.live_document is not None:
            raise ValueError("An API that is not published has no live document. Leave one of the two out.")
        for setting in SETTINGS:
            if setting.only_live and self.setting(setting.name) != setting.default:
                raise ValueError(f"An API that is not published cannot be {setting.name}.")
        return self


if TYPE_CHECKING:

    class ApiEntry(_ApiEntry):
        pass

else:
    ApiEntry = create_model(
        "ApiEntry", __base__=_ApiEntry, **{each.name: (each.kind, each.default) for each in SETTINGS}
    )


def _subject(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("Give the value as it stands in the token, or leave it out.")
    return text


class SubscriptionEntry(_Part):
    """Of the consumer that it stands in. What is over is the past, and what waits for a decision is not agreed yet:
    neither stands in a file."""

    api: ApiReference
    plan: Slug
    """Of the API's team."""
    state: Literal["approved", "suspended"] = "approved"
    ends_at: Instant | None = None
    approved_until: Instant | None = None
    """How long the API's team lets it go on."""
    subject: Annotated[str, Field(max_length=255), AfterValidator(_subject)] | None = None
    """What tokens (JWT) call the consumer at the API."""


class OperationEntry(_Part):
    api: ApiReference
    method: Annotated[str, Field(pattern="^[A-Z]{1,20}$")]
    path: Annotated[str, Field(min_length=1, max_length=2000)]


class KeyEntry(_Part):
    id: KeyId
    kind: Literal["key", "basic"] = "key"
    """`basic`: of a user name and its password."""
    sha256: Sha256
    label: Label = ""
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    read_only: bool = False
    addresses: Networks = ()
    """Where it may be used from; none for everywhere."""
    apis: Annotated[tuple[ApiReference, ...], AfterValidator(_sorted)] | None = None
    """Those whose subscriptions it may use, as far as its consumer has such; None for all, an empty list for none."""
    operations: Annotated[tuple[OperationEntry, ...], AfterValidator(_in_order)] = ()
    """What it may call of the APIs that are named here."""
    follows: KeyId | None = None
    """The key of the same consumer that it came after by rotation; None says nothing about it."""
    unrotated_expires_at: Instant | Literal["never"] | None = None
    """Of a key that one follows that is not revoked: when it would expire without that one. None says nothing."""


class ConsumerEntry(_Part):
    team: Slug
    slug: Slug
    id: ConsumerId | None = None
    """What upstreams see; None says nothing about it, and a new consumer gets one."""
    name: Name
    description: Text = ""
    contacts: tuple[Text, ...] = ()
    metadata: dict[str, str] = Field(default_factory=dict)
    suspended: bool = False
    subscriptions: tuple[SubscriptionEntry, ...] | None = None
    keys: tuple[KeyEntry, ...] | None = None
    """None of these two says nothing about them."""

    @model_validator(mode="after")
    def _keys_come_after_one_another(self) -> Self:
        before = {key.id: key.follows for key in self.keys or ()}
        living = [key.follows for key in self.keys or () if key.follows and key.revoked_at is None]
        if twice := next((each for each in living if living.count(each) > 1), None):
            raise ValueError(f"Two keys that are not revoked follow pco_{twice}. Take `follows` out of one of them.")
        for key in self.keys or ():
            if generation(key.id, before) > len(before):
                raise ValueError(f"The key pco_{key.id} follows itself, perhaps by way of others.")
            if key.unrotated_expires_at is not None and key.id not in living:
                raise ValueError(f"No key that is not revoked follows pco_{key.id}. Take `unrotated_expires_at` out.")
        return self

    @property
    def identity(self) -> Identity:
        return "consumer", self.team, self.slug


def generation(key: str, before: Mapping[str, str | None]) -> int:
    """How many keys came before it, as far as `before` knows them; more than there are where they go in a circle."""
    count = 0
    while count <= len(before) and (earlier := before.get(key)) is not None:
        key, count = earlier, count + 1
    return count


class Source(_Part):
    """The bytes of an OpenAPI document, as text where they are one."""

    sha256: Sha256
    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, data: bytes) -> "Source":
        digest = sha256(data).hexdigest()
        try:
            return cls(sha256=digest, text=data.decode())
        except UnicodeDecodeError:
            return cls(sha256=digest, base64=b64encode(data).decode())

    @property
    def data(self) -> bytes:
        return b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("A source has either a text or base64.")
        try:
            digest = sha256(self.data).hexdigest()
        except (NotBase64, ValueError):
            raise ValueError("This is not base64.") from None
        if digest != self.sha256:
            raise ValueError(f"The SHA-256 of this text is {digest}.")
        return self


class Installation(_Part):
    portico: Literal[1] = 1
    teams: tuple[TeamEntry, ...] = ()
    categories: tuple[CategoryEntry, ...] = ()
    plans: tuple[PlanEntry, ...] = ()
    apis: tuple[ApiEntry, ...] = ()
    consumers: tuple[ConsumerEntry, ...] = ()
    sources: tuple[Source, ...] = ()

    def things(self) -> Iterator["Thing"]:
        yield from self.teams
        yield from self.categories
        yield from self.plans
        yield from self.apis
        yield from self.consumers

    def merged(self, other: "Installation") -> "Installation":
        """Both together. Nothing is checked: `files.load` names what stands twice."""
        return Installation.model_construct(
            **{
                name: getattr(self, name) + getattr(other, name)
                for name in Installation.model_fields
                if name != "portico"
            }
        )


Thing = TeamEntry | CategoryEntry | PlanEntry | ApiEntry | ConsumerEntry


@dataclass(frozen=True, slots=True)
class Use:
    """A subscription together with the consumer whose it is."""

    team: str
    consumer: str
    entry: SubscriptionEntry

    @property
    def identity(self) -> Identity:
        return "subscription", self.team, self.consumer, self.entry.api


@dataclass(frozen=True, slots=True)
class Credential:
    """A key together with the consumer whose it is."""

    team: str
    consumer: str
    entry: KeyEntry

    @property
    def identity(self) -> Identity:
        return "key", self.team, self.consumer, self.entry.id


def uses_of(consumer: ConsumerEntry) -> Iterator[Use]:
    for entry in consumer.subscriptions or ():
        yield Use(consumer.team, consumer.slug, entry)


def keys_of(consumer: ConsumerEntry) -> Iterator[Credential]:
    for entry in consumer.keys or ():
        yield Credential(consumer.team, consumer.slug, entry)


def sources_named(apis: tuple[ApiEntry, ...]) -> dict[str, ApiEntry]:
    """SHA-256 of each OpenAPI source that a document refers to -> the first API that does."""
    found: dict[str, ApiEntry] = {}
    for api in apis:
        for document in (api.document, api.live_document):
            digest = getattr(document, "openapi", None)
            if digest:
                found.setdefault(digest, api)
    return found


def data_of(sources: tuple[Source, ...]) -> Mapping[str, bytes]:
    return {source.sha256: source.data for source in sources}
