"""Where docs come from: whose they are, where their pages stand, and the document itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from portal import openapi
from portal.openapi.export import KeyPlace
from portal.openapi.loosely import object_of
from portal.openapi.references import Look, escaped, looking, operation_at
from portal.registry.descriptions import SCHEMAS, Facts
from portal.web.docs.navigation import Entry, Index, Schema, schemas_at


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of the pages below `base`."""

    base: str

    def overview(self) -> str:
        return self.base

    def operations(self, *, q: str = "", tag: str = "", start: int = 0) -> str:
        asked = {"q": q, "tag": tag, "from": start}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{self.base}/operations" + (f"?{query}" if query else "")

    def operation(self, name: str) -> str:
        return f"{self.base}/operations/{quote(name, safe='')}"

    def schemas(self, *, q: str = "", start: int = 0) -> str:
        query = urlencode({name: value for name, value in {"q": q, "from": start}.items() if value})
        return f"{self.base}/schemas" + (f"?{query}" if query else "")

    def schema(self, pointer: str) -> str:
        """Of a part that a reference may name: by its name where it is one of the document's schemas."""
        name = pointer.removeprefix(SCHEMAS)
        if name == pointer or "/" in name:
            return f"{self.base}/parts/{quote(pointer.removeprefix('/'), safe='/~')}"
        return f"{self.base}/schemas/{quote(name, safe='')}"


def pointer_of(*, schema: str = "", part: str = "") -> str:
    """What `Links.schema` made an address of, `…/schemas/<schema>` or `…/parts/<path:part>`."""
    if schema:
        return SCHEMAS + schema
    return part if part.startswith("#") else f"/{part}"


@dataclass(frozen=True, slots=True)
class PlanLine:
    name: str
    description: str
    limits: str
    """In words."""
    price: str = ""
    approval: bool = False
    is_default: bool = False
    terms: str = ""
    """Markdown."""
    has_limits: bool = False
    has_quotas: bool = False
    operations: tuple[str, ...] = ()
    """What it says of single operations, in words."""


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What callers should know of the API's present and end."""

    paused: bool = False
    closed: bool = False
    deprecated_at: datetime | None = None
    is_ahead: bool = False
    """`deprecated_at` is still to come."""
    sunset_at: datetime | None = None
    retired_at: datetime | None = None
    message: str = ""
    successor: Link | None = None
    """None too where the reader may not know of it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How whoever stands before the API turns a call away."""

    status: int
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Tokens:
    issuer: str
    audiences: tuple[str, ...]
    claim: str
    alone: bool
    """Whether nothing else will do."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an API beside its document."""

    name: str
    version: str
    base: str
    """The address of its overview, without a slash at the end."""
    addresses: tuple[str, ...]
    """Where it is called; examples use the first."""
    key: KeyPlace | None
    description: str = ""
    takes_basic: bool = False
    """Whether user name and password will do too."""
    is_public: bool = False
    """Whether calls need neither subscription nor credential."""
    credential: str = "key"
    """What callers call what they send."""
    tokens: Tokens | None = None
    """What is asked of tokens (JWT), where they are taken."""
    first_path: str = ""
    """Below the address, what a first call asks for."""
    variable: str = "PORTICO_KEY"
    """The shell variable that examples take the key from."""
    owner: str = ""
    state: str = ""
    crumbs: tuple[Link, ...] = ()
    lifecycle: Lifecycle = Lifecycle()
    plans: tuple[PlanLine, ...] | None = None
    """None where there are no plans to speak of; () where the API offers none yet."""
    refusals: tuple[Refusal, ...] = ()
    """Of the gateway; () for what does not stand behind it."""
    origins: tuple[str, ...] = ()
    """Whose pages may call it from a browser; `*` for all, () where the gateway says nothing about it."""
    cookies: bool = False
    """Whether these pages may call it with cookies."""
    takes_some_only: bool = False
    """Whether calls are taken from some addresses only."""
    networks: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """Those that are allowed and those that are denied; None for readers who may not know."""
    versions: tuple[Link, ...] = ()
    """All that the reader may see, this one among them."""
    get_key_url: str = ""
    manage_url: str = ""
    traffic_url: str = ""
    """Where the reader may see what is called; "" for those who may not."""
    document_url: str = ""
    """Where the reader may give it an OpenAPI document; "" for those who may not."""
    preview_url: str = ""
    exports: tuple[Link, ...] = ()
    is_draft: bool = False
    live_url: str = ""
    """Of a draft: the docs of what is published."""
    operation_limits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By an operation's stable id, what the plans say of it, in words."""


class Source(Protocol):
    """One API with its document, read as far as a page asks for it."""

    about: About

    @property
    def facts(self) -> Facts | None:
        """None where there is no OpenAPI document."""

    @property
    def index(self) -> Index: ...

    @property
    def schemas(self) -> Sequence[Schema]:
        """All that have names, in the order of these."""

    def content_of(self, schemas: Iterable[Schema]) -> dict[str, Any]:
        """What they say, by their pointers; what is very large is left out."""

    def operation(self, name: str) -> tuple[dict[str, Any], Look] | None:
        """The whole operation object (`references.operation_at`), and where its references lead."""

    def look(self, start: Any) -> Look:
        """Follows the references that `start` leads to."""


class Described:
    """A document that is in memory, such as one that the portal makes itself."""

    def __init__(self, about: About, description: openapi.Description) -> None:
        self.about = about
        self.facts: Facts | None = Facts.of(description)
        self.index = Index((Entry.of(it.id, it, it.tags) for it in description.operations), description.tags)
        self._tree = description.tree
        self._pointers = {it.id: it.pointer for it in description.operations}
        self._look = looking(description.tree)
        named = object_of(object_of(description.tree.get("components")).get("schemas"))
        self.schemas: Sequence[Schema] = schemas_at(SCHEMAS + escaped(str(name)) for name in named)

    def content_of(self, schemas: Iterable[Schema]) -> dict[str, Any]:
        return {schema.pointer: self._look(schema.pointer) for schema in schemas}

    def operation(self, name: str) -> tuple[dict[str, Any], Look] | None:
        pointer = self._pointers.get(name)
        return None if pointer is None else (operation_at(self._tree, pointer, self._look), self._look)

    def look(self, start: Any) -> Look:
        return self._look
