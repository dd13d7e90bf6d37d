"""Texts for samples: by format, pattern and length."""

import re
from typing import Any

_OF_FORMAT = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "date-time-local": "2026-01-31T12:00:00",
    "time": "12:00:00Z",
    "time-local": "12:00:00",
    "duration": "P3D",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ip": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com",
    "url": "https://example.com",
    "iri": "https://example.com",
    "uri-reference": "/path",
    "iri-reference": "/path",
    "uri-template": "https://example.com/{id}",
    "uuid": "3f0b8c1e-5d2a-4c6b-9e7f-1a2b3c4d5e6f",
    "byte": "U3dhZ2dlcg==",
    "base64url": "U3dhZ2dlcg",
    "binary": "<binary>",
    "regex": "^[a-z]+$",
    "json-pointer": "/name",
    "relative-json-pointer": "1/name",
    "char": "a",
    "int64": "0",
    "int32": "0",
    "uint64": "0",
    "decimal": "1.0",
}
_LONGEST = 200
_LONGEST_PATTERN = 300

_ATOM = re.compile(
    r"""(?P<set>\[(?:\\.|[^\]\\])+\])|(?P<class>\\[dwsDWS])|(?P<escaped>\\.)|(?P<any>\.)|(?P<plain>[^\\\[\](){}*+?|^$])""",
    re.VERBOSE,
)
_TIMES = re.compile(r"\{(\d{1,4})(?:,(\d{0,4}))?\}[?+]?|([*+?])[?+]?")
_OF_CLASS = {r"\d": "0", r"\w": "a", r"\s": " ", r"\D": "a", r"\W": "-", r"\S": "a"}


def text(shape: dict[str, Any]) -> str:
    """A string for the schema: of its format, otherwise one that its pattern matches, otherwise `string`; as long as
    its bounds ask for, up to 200 characters."""
    form, pattern = shape.get("format"), shape.get("pattern")
    found = _OF_FORMAT.get(form) if isinstance(form, str) else None
    if found is not None:
        # A date that was cut would be none.
        return found
    if isinstance(pattern, str):
        matching = _matching(pattern)
        if matching is not None:
            return matching
    return _of_length("string", shape.get("minLength"), shape.get("maxLength"))


def _of_length(word: str, least: Any, most: Any) -> str:
    if isinstance(least, int | float) and least > len(word):
        word = (word * (int(min(least, _LONGEST)) // len(word) + 1))[: int(min(least, _LONGEST))]
    if isinstance(most, int | float) and 0 <= most < len(word):
        word = word[: int(most)]
    return word


def _matching(pattern: str) -> str | None:
    """A text for a pattern of plain characters, classes and counts; None for one with more to it.

    It is not tried against the pattern: a pattern of a stranger's may take for ever.
    """
    rest = pattern.removeprefix("^")
    rest = rest[:-1] if rest.endswith("$") and not rest.endswith("\\$") else rest
    if len(rest) > _LONGEST_PATTERN:
        return None
    made, at = "", 0
    while at < len(rest):
        atom = _ATOM.match(rest, at)
        if atom is None:
            return None
        one = _one_of(atom)
        if one is None:
            return None
        at = atom.end()
        count = 1
        times = _TIMES.match(rest, at)
        if times is not None:
            at = times.end()
            count = int(times[1]) if times[1] else {"*": 0, "+": 1, "?": 0}[times[3]]
        made += one * count
        if len(made) > _LONGEST:
            return None
    return made or None


def _one_of(atom: re.Match[str]) -> str | None:
    if atom["set"]:
        return _first_of(atom["set"][1:-1])
    if atom["class"]:
        return _OF_CLASS[atom["class"]]
    if atom["escaped"]:
        # \b, \p{L}, \1 and their like stand for no character of their own.
        return None if atom["escaped"][1].isalnum() else atom["escaped"][1]
    return "a" if atom["any"] else atom["plain"]


def _first_of(inside: str) -> str | None:
    if inside.startswith("^"):
        return next((one for one in "a0-_ " if one not in inside and "\\" not in inside), None)
    if inside.startswith("\\"):
        return _OF_CLASS.get(inside[:2], None if inside[1].isalnum() else inside[1])
    return inside[0]
