"""Installations as files: one, or a folder of them. Pure: names and texts in, names and texts out.

teams/payments.yaml                    a team with its plans and consumers
categories.yaml                        the shelves of the catalogue
apis/payments/orders/v1.yaml           an API
apis/payments/orders/v1.openapi.yaml   the OpenAPI document that its draft refers to
apis/payments/orders/v1.live.openapi.yaml  that of the live one, where it is another
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from portal.registry.document import sentences
from portal.registry.installation import yaml
from portal.registry.installation.values import (
    SCHEMA_VERSION,
    ApiEntry,
    Identity,
    Installation,
    Source,
    data_of,
    keys_of,
    sources_named,
    uses_of,
)

HEADER = "# Written by `flask export`; a new export replaces it.\n"
SOURCE = re.compile(r"\.openapi\.(?:json|ya?ml)$")
"""How the name of a file ends that is an OpenAPI document and no part of an installation."""
_BESIDE = re.compile(r"(?:\.live)?\.openapi\.(?:json|yaml)$")
_LISTS = tuple(name for name in Installation.model_fields if name != "portico")
_NOUNS = {
    "team": "team",
    "category": "category",
    "plan": "plan",
    "api": "API",
    "consumer": "consumer",
    "subscription": "subscription",
}
_LAST = ("document", "live_document")


class Problem(NamedTuple):
    file: str
    line: int
    path: str
    """Into the document, such as `apis[0].document.upstream`; "" for the file as a whole."""
    sentence: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.path, self.sentence) if part)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a thing stands."""

    file: str
    document: yaml.Marked
    path: tuple[str | int, ...]

    def problem(self, below: str, sentence: str) -> Problem:
        """`below` is a dotted path into the thing, or ""."""
        path = (*self.path, *_steps(below))
        return Problem(self.file, self.document.line(path), _shown(path), sentence)


@dataclass(slots=True)
class Loaded:
    installation: Installation = field(default_factory=Installation)
    origins: dict[Identity, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 -> an OpenAPI document."""


def name_of(identity: Identity) -> str:
    kind, *names = identity
    match kind:
        case "key":
            return f"key pco_{names[2]} of {names[0]}/{names[1]}"
        case "subscription":
            return f"subscription of {names[0]}/{names[1]} to {names[2]}"
    return f"{_NOUNS[kind]} {'/'.join(names)}"


def load(files: Iterable[tuple[str, bytes]]) -> Loaded:
    """All of them together, with every problem; a file that has one adds nothing. `files` are names and bytes."""
    loaded = Loaded()
    for name, data in files:
        if SOURCE.search(name):
            loaded.sources[sha256(data).hexdigest()] = data
            continue
        try:
            for document in yaml.read(data.decode("utf-8-sig")):
                _take(loaded, name, document)
        except UnicodeDecodeError:
            loaded.problems.append(Problem(name, 0, "", "This is not a text in UTF-8."))
        except yaml.Broken as broken:
            loaded.problems.append(Problem(name, broken.line, "", str(broken)))
    loaded.sources.update(data_of(loaded.installation.sources))
    return loaded


def as_text(installation: Installation) -> str:
    """One file. Equal installations give equal bytes."""
    data: dict[str, Any] = {"portico": SCHEMA_VERSION}
    for name in _LISTS:
        if things := getattr(installation, name):
            data[name] = [_plain(each) for each in things]
    return yaml.written(data)


def as_folder(installation: Installation) -> dict[str, bytes]:
    """Paths below the folder -> what stands there. Equal installations give equal files."""
    found: dict[str, bytes] = {}
    for team in installation.teams:
        found[f"teams/{team.slug}.yaml"] = _file(
            Installation(
                teams=(team,),
                plans=tuple(plan for plan in installation.plans if plan.team == team.slug),
                consumers=tuple(each for each in installation.consumers if each.team == team.slug),
            )
        )
    if installation.categories:
        found["categories.yaml"] = _file(Installation(categories=installation.categories))
    sources = data_of(installation.sources)
    for api in installation.apis:
        stem = f"apis/{api.team}/{api.slug}/{api.version}"
        found[f"{stem}.yaml"] = _file(Installation(apis=(api,)))
        found |= _beside(stem, api, sources)
    return found


def left_over(there: Mapping[str, bytes], written: Iterable[str]) -> list[str]:
    """Which files of a folder an earlier export has written and this one has not. Nobody else's."""
    mine = {name for name, data in there.items() if data.startswith(HEADER.encode())} - set(written)
    stems = {name.removesuffix(".yaml") for name in mine}
    beside = {name for name in there if _BESIDE.search(name) and _BESIDE.sub("", name) in stems}
    return sorted(mine | beside)


def _file(installation: Installation) -> bytes:
    return (HEADER + as_text(installation)).encode()


def _beside(stem: str, api: ApiEntry, sources: Mapping[str, bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for document, word in ((api.document, ""), (api.live_document, ".live")):
        data = sources.get(getattr(document, "openapi", None) or "")
        if data is not None and data not in found.values():
            media = "json" if data.lstrip()[:1] in (b"{", b"[") else "yaml"
            found[f"{stem}{word}.openapi.{media}"] = data
    return found


def _plain(thing: BaseModel) -> dict[str, Any]:
    """Without what is as it would be anyway; what is long stands last."""
    values = thing.model_dump(mode="json", exclude_defaults=True)
    for name in _LAST:
        if name in values:
            values[name] = values.pop(name)
    return values


def _take(loaded: Loaded, file: str, document: yaml.Marked) -> None:
    sentence = _no_installation(document.data)
    if sentence:
        loaded.problems.append(Problem(file, document.line(("portico",)), "", sentence))
        return
    try:
        found = Installation.model_validate(document.data)
    except ValidationError as error:
        for where, words in sentences(error).items():
            path = _steps(where)
            loaded.problems.append(Problem(file, document.line(path), _shown(path), words))
        return
    for name in ("teams", "categories", "plans", "apis", "consumers"):
        for number, thing in enumerate(getattr(found, name)):
            _place(loaded, thing.identity, Origin(file, document, (name, number)))
    for number, consumer in enumerate(found.consumers):
        for place, use in enumerate(uses_of(consumer)):
            _place(loaded, use.identity, Origin(file, document, ("consumers", number, "subscriptions", place)))
        for place, key in enumerate(keys_of(consumer)):
            _place(loaded, key.identity, Origin(file, document, ("consumers", number, "keys", place)))
    loaded.installation = loaded.installation.merged(found)


def _no_installation(data: Any) -> str | None:
    if not isinstance(data, dict) or "portico" not in data:
        return "This is no file of Portico's: it has no line `portico: 1`."
    if data["portico"] != SCHEMA_VERSION:
        return f"This file is written in version {data['portico']}; this release reads {SCHEMA_VERSION}."
    return None


def _place(loaded: Loaded, identity: Identity, origin: Origin) -> None:
    first = loaded.origins.setdefault(identity, origin)
    if first is not origin:
        line = first.document.line(first.path)
        loaded.problems.append(
            origin.problem("", f"The {name_of(identity)} stands in {first.file}, line {line}, already. Take one out.")
        )


def unknown_sources(loaded: Loaded, stored: Iterable[str]) -> list[Problem]:
    """Documents that refer to an OpenAPI source that is neither in the files nor stored."""
    there = loaded.sources.keys() | set(stored)
    return [
        loaded.origins[api.identity].problem(
            "document.openapi", f"The OpenAPI document with the SHA-256 {digest} is neither in the files nor stored."
        )
        for digest, api in sources_named(loaded.installation.apis).items()
        if digest not in there
    ]


def sources_of(installation: Installation, stored: Mapping[str, bytes]) -> tuple[Source, ...]:
    """What an export holds of the sources that its documents refer to, by SHA-256."""
    named = sources_named(installation.apis)
    return tuple(Source.of(stored[digest]) for digest in sorted(named) if digest in stored)


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdigit() else step for step in path.split(".") if step)


def _shown(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
