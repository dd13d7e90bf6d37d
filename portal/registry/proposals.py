"""What an OpenAPI document suggests for the fields of an API. Pure.

What cannot be taken as it stands there is left out, with a sentence for the person who looks at the field.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from portal import openapi
from portal.accounts import slug_of
from portal.registry.descriptions import Facts
from portal.registry.document import VERSION, KeyPlace, Target

LONGEST_NAME = 80
LONGEST_DESCRIPTION = 20_000
LONGEST_TAG = 40
MOST_TAGS = 30
_LONGEST_SLUG = 40
"""Of those that are made here; people type longer ones."""
_NUMBERS = re.compile(r"[vV]?(\d{1,6})(?:\.\d+)*(?:[-+.].*)?")
_DATE = re.compile(r"\d{4}-\d{2}(?:-\d{2})?.*")
_NOT_OF_VERSIONS = re.compile(r"[^a-z0-9.-]+")
_VARIABLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Proposal:
    name: str
    description: str
    targets: tuple[str, ...]
    """Addresses that calls may be sent to, the likeliest first; none where the document names none."""
    key: KeyPlace | None
    """None where the document says nothing of it, or nothing that the gateway could do."""
    tags: tuple[str, ...]
    slug: str
    """"" where no slug can be made from the title."""
    version: str
    basic: bool = False
    """Whether the document asks for user name and password instead of a key."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Field (`name`, `target`, `key`, …) -> why it is not quite what the document says."""


def proposal(facts: Facts, fetched_from: str = "") -> Proposal:
    """`fetched_from` is the address that the document came from; relative servers are meant to start there."""
    remarks: dict[str, str] = {}
    targets = _targets(facts.servers, fetched_from, remarks)
    slug = _slug(facts.title)
    return Proposal(
        name=_cut(" ".join(facts.title.split()), LONGEST_NAME, "name", remarks),
        description=_cut(_description(facts), LONGEST_DESCRIPTION, "description", remarks),
        targets=targets,
        key=_key(facts.key, remarks),
        basic=facts.key is not None and facts.key.place == "basic",
        tags=_tags(facts.tags, remarks),
        slug=slug,
        version=version_of(facts.api_version),
        remarks=remarks,
    )


def version_of(said: str) -> str:
    """`1.4.2` and `V1` become `v1`; a date stays one; other words keep what may stand in an address."""
    said = said.strip()
    if (found := _NUMBERS.fullmatch(said)) and not _DATE.fullmatch(said):
        return f"v{int(found[1])}"
    word = _NOT_OF_VERSIONS.sub("-", said.lower())[:30].strip("-.")
    return word if VERSION.fullmatch(word) else "v1"


def _slug(title: str) -> str:
    slug = slug_of(title)
    if slug == "x" and title.strip().lower() != "x":
        return ""
    if len(slug) <= _LONGEST_SLUG:
        return slug
    return slug[: _LONGEST_SLUG + 1].rpartition("-")[0] or slug[:_LONGEST_SLUG]


def _description(facts: Facts) -> str:
    return (facts.description or facts.summary).replace("\r\n", "\n").strip()


def _cut(text: str, longest: int, name: str, remarks: dict[str, str]) -> str:
    if len(text) <= longest:
        return text
    remarks[name] = f"The document's {name} is longer than {longest:,} characters, and was cut here."
    return text[:longest].rstrip()


def _targets(servers: tuple[str, ...], fetched_from: str, remarks: dict[str, str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    said = ""
    for server in servers:
        try:
            found.setdefault(_target(server, fetched_from))
        except ValueError as error:
            said = said or str(error)
    if not found:
        remarks["target"] = said or "The document does not say where the API is served. Give its address."
    # Of two that differ in nothing else, nobody wants the one that can be read on the way.
    safe = [url for url in found if f"https{url.removeprefix('http')}" not in found]
    return (*safe, *(url for url in found if url not in safe))


def _target(server: str, fetched_from: str) -> str:
    """Raises ValueError, with a sentence."""
    shown = f"“{server[:200]}”"
    if variable := _VARIABLE.search(server):
        raise ValueError(
            f"The server {shown} has the variable {variable[1][:60]} without a default. Write the address with its "
            "value."
        )
    try:
        is_absolute = bool(urlsplit(server).scheme)
        url = server if is_absolute else urljoin(fetched_from, server) if fetched_from else ""
    except ValueError:
        raise ValueError(f"The server {shown} is no address. Give the right one.") from None
    if not url:
        raise ValueError(
            f"The server {shown} is relative, and the document was not fetched from an address that it could be "
            "relative to. Give the whole address."
        )
    try:
        return Target(url=url).url
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"The server {shown} cannot be used as it is. {why}") from None


def _key(scheme: openapi.KeyScheme | None, remarks: dict[str, str]) -> KeyPlace | None:
    if scheme is None or scheme.place == "basic":
        return None
    if scheme.place == "none":
        remarks["key"] = (
            "The document asks for nothing. If everybody may call without a key, say so under Authentication in the "
            "API's document, where the plan of such calls is chosen."
        )
        return None
    try:
        return KeyPlace.model_validate({"place": scheme.place, "name": scheme.name}, context={"typed": True})
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        remarks["key"] = f"The document puts the key into the {scheme.place} {scheme.name}. {why}"
        return None


def _tags(tags: tuple[openapi.Tag, ...], remarks: dict[str, str]) -> tuple[str, ...]:
    words = {tag.name.lower(): tag.name for tag in reversed(tags) if len(tag.name) <= LONGEST_TAG}
    fitting = tuple(words.values())[::-1]
    if len(fitting) > MOST_TAGS:
        remarks["tags"] = f"The document has {len(fitting):,} tags. The first {MOST_TAGS} are here."
    return fitting[:MOST_TAGS]
