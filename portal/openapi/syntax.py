"""From bytes to a tree of plain values: which encoding, which language, and what is read around.

JSON is read by orjson. Where that refuses, a tolerant reader tries (NaN, tabs and line ends in texts, half surrogate
pairs), then YAML, which knows commas too many and comments.
"""

import codecs
import json
import re
from collections import Counter
from typing import Any

import orjson

from portal.errors import Unreadable
from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.plain import make_plain
from portal.openapi.plain_yaml import read_yaml
from portal.openapi.strangers import packed, strange_text
from portal.openapi.walking import is_deeper_than

MOST_BYTES = 50_000_000
MOST_DEEP = 200
"""Levels of nesting. The deepest of real documents have about 60."""

_BROKEN_JSON_READ_AS_YAML = 5_000_000
_LOOKED_THROUGH_FOR_DOUBLES = 1_000_000
"""Bytes: above, a second reading for the sake of doubled keys costs more than it tells."""

_BOMS = (  # that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What libyaml reads in no text, https://yaml.org/spec/1.2.2/#51-character-set
_NO_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")


def parse(data: bytes, findings: Findings) -> Any:
    """The plain values that `data` holds. Raises Unreadable."""
    if len(data) > MOST_BYTES:
        raise Unreadable(
            f"This document has {len(data) / 1e6:,.0f} MB, and Portico reads up to {MOST_BYTES // 10**6} MB."
        )
    if sentence := packed(data):
        raise Unreadable(sentence)
    text = _text(data, findings)
    start = text[:1_000].lstrip()
    if not start and not text.strip():
        raise Unreadable("The document is empty.")
    if sentence := strange_text(text):
        raise Unreadable(sentence)
    tree = _read_json(text, findings) if start.startswith(("{", "[")) else _read_yaml(text, findings)
    if is_deeper_than(tree, MOST_DEEP):
        raise Unreadable(f"This document nests deeper than {MOST_DEEP} levels, which no API needs.")
    return tree


def decoded(data: bytes) -> str:
    """The text that `data`, which was parsed before, was read as. Raises Unreadable."""
    return _text(data, Findings())


def _text(data: bytes, findings: Findings) -> str:
    encoding = next((encoding for bom, encoding in _BOMS if data.startswith(bom)), None)
    # Without a mark, UTF-16 is known by the NUL in one half of its first character, which is always ASCII.
    if encoding is None and b"\x00" in data[:2]:
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        return data.decode(encoding or "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        if encoding not in (None, "utf-8"):
            raise Unreadable(f"This begins like {encoding.upper()}, and is broken at byte {error.start:,}.") from None
        line = data.count(b"\n", 0, error.start) + 1
    if b"\x00" in data:
        raise Unreadable("This is not text. Give an OpenAPI document in JSON or YAML.")
    findings.add("", f"Line {line} is not UTF-8. The document was read as Windows-1252; look at its accents.")
    return data.decode("cp1252", errors="replace")


def _read_json(text: str, findings: Findings) -> Any:
    try:
        tree = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _read_broken_json(text, error, findings)
    if "\\u0000" in text:
        tree = make_plain(tree)
    if len(text) <= _LOOKED_THROUGH_FOR_DOUBLES:
        _find_doubles(text, findings)
    return tree


def _read_broken_json(text: str, error: json.JSONDecodeError, findings: Findings) -> Any:
    wrong = f"Line {error.lineno:,}, column {error.colno:,} is not JSON: {error.msg[:1].lower()}{error.msg[1:]}."
    try:
        tree = make_plain(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        if len(text) > _BROKEN_JSON_READ_AS_YAML:
            raise Unreadable(wrong) from None
    else:
        findings.add("", f"{wrong} It was read around.")
        return tree
    aside = Findings()
    try:
        tree = _read_yaml(text, aside)
    except Unreadable:
        raise Unreadable(wrong) from None
    findings.add("", f"{wrong} The document was read as YAML, which is less strict.")
    for warning in aside.warnings():
        findings.add(warning.pointer, warning.sentence)
    return tree


def _read_yaml(text: str, findings: Findings) -> Any:
    text, harmful = _NO_YAML.subn("\ufffd", text)
    if harmful:
        findings.add("", f"{harmful:,} characters that no text may hold were replaced.")
    return read_yaml(text, findings, most_deep=MOST_DEEP, most_weight=2 * MOST_BYTES)


def _find_doubles(text: str, findings: Findings) -> None:
    """Warn of keys that stand twice in an object: of two operations of one path, one would be missing in silence."""
    doubled: dict[int, tuple[dict[str, Any], list[str]]] = {}  # with the object, so that no other gets its id

    def looked_through(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            doubled[id(made)] = made, [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        return made

    try:
        again = json.loads(text, object_pairs_hook=looked_through)
    except (ValueError, RecursionError):
        return
    ahead: list[tuple[Any, tuple[Any, ...]]] = [(again, ())] if doubled else []
    while ahead:
        node, steps = ahead.pop()
        for key in doubled[id(node)][1] if id(node) in doubled else ():
            findings.add(pointer_of((*steps, key)), f"{quoted(key)} stands here twice. The last one was read.")
        below = node.items() if isinstance(node, dict) else enumerate(node)
        ahead.extend((value, (*steps, key)) for key, value in below if isinstance(value, dict | list))
