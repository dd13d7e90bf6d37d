"""The API document: what a draft holds, a release freezes and the compiler reads. Pure.

Whose the API is, its slug and its version stand in its row: they are its identity, and the owner may change while a
release lives on. Everything that a publisher writes down stands here.
"""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from portal.errors import AddressRefused, Invalid
from portal.outbound.addresses import AddressRules
from portal.registry.access import Addresses, Cors
from portal.registry.headers import is_gateways_own

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,28}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_HEADER = re.compile(r"[a-z0-9][a-z0-9!#$%&'*+.^_`~-]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")

_CREDENTIAL_HEADER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
MOST_DASHES = 5
"""In a credential's header: the gateway takes off what a client sends under each spelling with underscores."""


def _is_typed(info: ValidationInfo) -> bool:
    return bool(info.context and info.context["typed"])


def _target_url(url: str, info: ValidationInfo) -> str:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError("This is not an address: its port or brackets are wrong.") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError("Begin the address with http:// or https://.")
    if not parts.hostname or port == 0:
        raise ValueError("The address needs a host, such as https://orders.example.com.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave user name and password out of the address.")
    if parts.query or parts.fragment:
        raise ValueError("Leave out what follows ? or #; only a path may follow the host.")
    host = parts.hostname
    try:
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{host} is not a host name.") from None
    if ":" not in host and not _HOST.fullmatch(host):
        raise ValueError(f"{host} is not a host name.")
    if re.search(r"[\s\\\x00-\x1f\x7f]", parts.path):
        raise ValueError("The path must not hold spaces or backslashes.")
    if _is_typed(info):
        _require_allowed(host)
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != (443 if parts.scheme == "https" else 80):
        authority += f":{port}"
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"


def _require_allowed(host: str) -> None:
    """Refuses addresses that no installation sends calls to. What this one allows beside, and where names lead, each
    node looks at again and again; the page that publishes says it beforehand."""
    try:
        AddressRules(loopback=True).check(host)
    except AddressRefused as refused:
        raise ValueError(f"{refused} Give the address of the service itself.") from None
    except ValueError:
        pass  # a name


def _mount_path(path: str) -> str:
    path = path.strip().rstrip("/")
    if not _PATH.fullmatch(path):
        raise ValueError("Begin with / and use letters, digits, dots, dashes and underscores, such as /orders/v1.")
    if any(part in {".", ".."} for part in path.split("/")):
        raise ValueError("A part of the path must not be . or .. alone.")
    if path == "/_portico" or path.startswith("/_portico/"):
        raise ValueError("/_portico belongs to the gateway itself. Choose another path.")
    return path


def _mount_host(host: str) -> str:
    host = host.strip().rstrip(".").lower()
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{host} is not a host name.") from None
    if not _HOST.fullmatch(host):
        raise ValueError("Give a host name without scheme, port or path, such as orders.example.com.")
    return host


def _not_blank(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ValueError("Give it a name.")
    return text


def _secret_name(name: str) -> str:
    if not SLUG.fullmatch(name):
        raise ValueError("The name of a secret has small letters, digits and dashes, such as orders-token.")
    return name


def _credential_header(name: str, info: ValidationInfo) -> str:
    lower = name.strip().lower()
    if not _CREDENTIAL_HEADER.fullmatch(lower) or lower.count("-") > MOST_DASHES:
        raise ValueError("The name of a header has letters, digits and at most five dashes, such as X-Api-Token.")
    if _is_typed(info) and is_gateways_own(lower):
        raise ValueError(
            f"The header {name.strip()} has a meaning of its own. Authorization and X-Api-Token are usual."
        )
    return name.strip()


def _unless_empty(lists: Addresses | None) -> Addresses | None:
    return lists if lists and (lists.allow or lists.deny) else None


def _once_each(words: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.lower(), word)
    return tuple(first.values())


Name = Annotated[str, Field(max_length=80), AfterValidator(_not_blank)]
Tag = Annotated[str, Field(max_length=40), AfterValidator(_not_blank)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Part):
    """One address that calls are sent to, and its share of them."""

    url: Annotated[str, Field(max_length=500), AfterValidator(_target_url)]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)


class Credential(_Part):
    """What targets ask of the gateway: the *name* of a secret of the API's team, which lives outside the document."""

    kind: Literal["header", "basic", "client_certificate"]
    secret: Annotated[str, Field(max_length=63), AfterValidator(_secret_name)]
    header: Annotated[str, Field(max_length=64), AfterValidator(_credential_header)] | None = None
    """The header that carries the secret; only for the kind `header`."""

    @model_validator(mode="after")
    def _header_fits(self) -> Self:
        if (self.kind == "header") != (self.header is not None):
            raise ValueError(
                "Give the name of the header that carries the secret, such as X-Api-Token."
                if self.kind == "header"
                else "Only a secret of the kind “header” needs the name of one."
            )
        return self


class Upstream(_Part):
    """Targets share scheme and path, because the path is decided before the target is."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=50)]
    tls_verify: bool = True
    ca_pem: Annotated[str, Field(max_length=100_000)] | None = None
    connect_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    first_byte_timeout_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 30_000
    idle_timeout_ms: Annotated[int, Field(ge=1_000, le=3_600_000)] = 300_000
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """Attempts after a failed connection, for idempotent methods only."""
    credential: Credential | None = None

    @model_validator(mode="after")
    def _certificate_is_asked_for(self) -> Self:
        wants = self.credential is not None and self.credential.kind == "client_certificate"
        if wants and self.targets[0].parts.scheme != "https":
            raise ValueError(
                "A client certificate is shown to https targets only. Change the address, or leave it out."
            )
        return self

    @model_validator(mode="after")
    def _targets_agree(self) -> Self:
        if len({(target.parts.scheme, target.parts.path) for target in self.targets}) > 1:
            raise ValueError(
                "All targets must have the same scheme and the same path; only hosts and ports may differ."
            )
        if len({target.parts.netloc for target in self.targets}) < len(self.targets):
            raise ValueError("A target stands here twice. Give one of them a larger weight instead.")
        return self


class KeyPlace(_Part):
    """Where callers of this API put their key."""

    place: Literal["header", "bearer", "query"] = "header"
    name: Annotated[str, Field(max_length=64)] = "X-API-Key"
    """Header or query parameter; `bearer` always means `Authorization: Bearer`."""

    @model_validator(mode="after")
    def _name_fits(self, info: ValidationInfo) -> Self:
        if self.place == "header":
            if not _HEADER.fullmatch(self.name.lower()):
                raise ValueError("The name of a header has letters, digits and dashes, such as X-API-Key.")
            if _is_typed(info) and is_gateways_own(self.name):
                raise ValueError(
                    f"The header {self.name} has a meaning of its own at the gateway, so that no key would arrive in "
                    "it. X-API-Key is the usual one."
                )
        if self.place == "query" and not _PARAMETER.fullmatch(self.name):
            raise ValueError("A query parameter has letters, digits, dots, dashes and underscores, such as api_key.")
        return self


class Document(_Part):
    """An API as its publisher describes it. `schema_version` grows when stored documents must be read differently."""

    schema_version: Literal[1] = 1
    name: Name
    description: Annotated[str, Field(max_length=20_000)] = ""
    path: Annotated[str, Field(max_length=200), AfterValidator(_mount_path)] | None = None
    host: Annotated[str, Field(max_length=253), AfterValidator(_mount_host)] | None = None
    upstream: Upstream
    key: KeyPlace = KeyPlace()
    body_limit_bytes: Annotated[int, Field(ge=0, le=10_000_000_000)] = 10_000_000
    tags: Annotated[tuple[Tag, ...], Field(max_length=30), AfterValidator(_once_each)] = ()
    """Words to find the API by in the catalogue."""
    openapi: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the bytes of its OpenAPI document, which is stored beside (`descriptions.py`)."""
    cors: Cors | None = None
    """None where the gateway leaves it to the targets what pages of other sites may do."""
    addresses: Annotated[Addresses | None, AfterValidator(_unless_empty)] = None
    """None for calls from everywhere."""

    @model_validator(mode="after")
    def _is_mounted(self) -> Self:
        if self.path is None and self.host is None:
            raise ValueError("Give the API a path, a host name, or both; otherwise nobody can call it.")
        return self

    def mounts(self) -> list[tuple[str, str]]:
        """Pairs of host and path; `*` is every host that no API has for itself."""
        by_path = [("*", self.path)] if self.path else []
        return by_path + ([(self.host, "/")] if self.host else [])

    def as_json(self) -> dict[str, Any]:
        values = self.model_dump(mode="json")
        # What was stored before there were such fields stays equal to what leaves them empty.
        if self.upstream.credential is None:
            del values["upstream"]["credential"]
        for field in ("tags", "openapi", "cors", "addresses"):
            if not values[field]:
                del values[field]
        return values


def read_document(values: dict[str, Any], *, typed: bool = False) -> Document:
    """Raises Invalid with one sentence a field; the field is the dotted path, `path` for the document as a whole.

    What is being `typed` is held to more: a stored document that names one of the gateway's headers must still open in
    the editor. The node refuses to serve it.
    """
    try:
        return Document.model_validate(values, context={"typed": typed})
    except ValidationError as error:
        raise Invalid(sentences(error)) from None


def sentences(error: ValidationError) -> dict[str, str]:
    """The first problem of each field, in words of ours. A list whose items are wrong is not wrong beside."""
    said: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        where = ".".join(str(step) for step in problem["loc"]) or "path"
        said.setdefault(where, _sentence(problem["type"], problem.get("ctx", {}), problem["msg"]))
    return {where: words for where, words in said.items() if not any(other.startswith(f"{where}.") for other in said)}


def _sentence(kind: str, context: dict[str, Any], message: str) -> str:
    match kind:
        case "value_error":
            return str(context["error"])
        case "missing":
            return "This is needed."
        case "string_too_long":
            return f"At most {context['max_length']:,} characters fit here."
        case "greater_than_equal":
            return f"The least value is {context['ge']:,}."
        case "less_than_equal":
            return f"The greatest value is {context['le']:,}."
        case "int_parsing" | "int_type" | "int_from_float":
            return "Give a whole number."
        case "string_type":
            return "Give a text; between quotes, where it looks like a number."
        case "bool_parsing" | "bool_type":
            return "Give true or false."
        case "tuple_type":
            return "Give a list."
        case "model_type" | "model_attributes_type" | "dict_type":
            return "Give fields with their values."
        case "timezone_aware" | "datetime_from_date_parsing" | "datetime_parsing" | "datetime_type":
            return "Give a time with its zone, such as 2026-11-20T12:00:00Z."
        case "too_short":
            return "At least one is needed."
        case "too_long":
            return f"At most {context['max_length']} are possible."
        case "extra_forbidden":
            return "This field does not exist."
        case _:
            return f"{message}."
