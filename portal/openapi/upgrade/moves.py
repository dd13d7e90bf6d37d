"""What stands elsewhere in 3.0 than it stood in 2.0, and the references that must follow it there."""

import re
from collections import Counter
from typing import Any
from urllib.parse import quote, unquote

from portal.openapi.findings import Findings, pointer_of
from portal.openapi.loosely import line_of, list_of
from portal.openapi.references import looking
from portal.openapi.walking import objects_of

Steps = tuple[str, ...]

_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class Moves:
    """The old document, what it says for all of its operations, and what was moved so far."""

    def __init__(self, old: dict[str, Any], schemes: dict[str, str], findings: Findings) -> None:
        self.look = looking(old)
        self.schemes = schemes
        """Old name of a security scheme -> new one."""
        self.findings = findings
        self.consumes = media_types(old.get("consumes"))
        self.produces = media_types(old.get("produces"))
        self._moved: dict[Steps, Steps] = {}

    def move(self, old: Steps, new: Steps) -> None:
        if old != new:
            self._moved[old] = new

    def move_schema(self, old: Steps, new: Steps, made: dict[str, Any]) -> None:
        """The schema of a body or response, which stands below its first media type now."""
        for media in made.get("content", ()):
            self._moved[(*old, "schema")] = (*new, "content", media, "schema")
            return

    def redirect(self, new: dict[str, Any]) -> None:
        """Have each local reference in `new` lead to where its target is now."""
        known: dict[str, str] = {}
        done: set[int] = set()  # of a body in two media types, the schema is one object
        for node, _ in objects_of(new):
            ref = node.get("$ref")
            if isinstance(ref, str) and ref.startswith("#/") and id(node) not in done:
                done.add(id(node))
                if ref not in known:
                    known[ref] = self._redirected(ref)
                node["$ref"] = known[ref]

    def _redirected(self, ref: str) -> str:
        for spelling in (ref, unquote(ref)):
            steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in spelling[2:].split("/"))
            for length in range(len(steps), 0, -1):
                if moved := self._moved.get(steps[:length]):
                    return "#" + quote(pointer_of((*moved, *steps[length:])), safe="/~{}!$&'()*+,;=:@-._")
        return ref


def names_for(parts: dict[str, Any]) -> dict[str, str]:
    """Old name -> the name of a component, which has fewer letters to choose from."""
    names: dict[str, str] = {}
    times: Counter[str] = Counter()
    taken = {name for name in parts if name and not _NOT_OF_NAMES.search(name)}
    for name in parts:
        if name in taken:
            names[name] = name
            continue
        key = base = _NOT_OF_NAMES.sub("_", name) or "_"
        while key in taken:
            times[base] += 1
            key = f"{base}_{times[base] + 1}"
        taken.add(key)
        names[name] = key
    return names


def media_types(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else list_of(value)
    return tuple(dict.fromkeys(filter(None, map(line_of, given))))


def extensions_of(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key.startswith("x-")}
