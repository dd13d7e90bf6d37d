"""The operations of a document, in its order, under ids that stay the same as long as the operations do."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.openapi.findings import Findings, number_of, pointer_of, quoted
from portal.openapi.loosely import line_of, list_of, object_of, text_of
from portal.openapi.references import METHODS, Look, follow, looking
from portal.openapi.values import Operation

LONGEST_ID = 63
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]{1,20}")
_NOT_OF_IDS = re.compile(r"[^A-Za-z0-9._]+")
_VARIABLE = re.compile(r"\{[^{}]*\}")
_OF_PATH_ITEMS = {"$ref", "summary", "description", "servers", "parameters", "additionalOperations"}


@dataclass(frozen=True, slots=True)
class _Found:
    method: str
    path: str
    content: dict[str, Any]
    pointer: str
    said: str
    """Where the document says it; another place than `pointer` where a path item is referred to."""


def operations_of(tree: dict[str, Any], findings: Findings) -> tuple[Operation, ...]:
    found = list(_found(tree, findings))
    _warn_of_clashes(found, findings)
    _warn_of_servers(tree, found, findings)
    return tuple(
        Operation(
            id=id_,
            method=it.method,
            path=it.path,
            summary=line_of(it.content.get("summary")),
            description=text_of(it.content.get("description")),
            tags=tuple(dict.fromkeys(filter(None, map(line_of, list_of(it.content.get("tags")))))),
            deprecated=it.content.get("deprecated") in (True, "true"),
            pointer=it.pointer,
        )
        for it, id_ in zip(found, _ids(found, findings), strict=True)
    )


def _found(tree: dict[str, Any], findings: Findings) -> Iterator[_Found]:
    look = looking(tree)
    taken: set[tuple[str, str]] = set()
    for key, item in object_of(tree.get("paths")).items():
        if key.startswith("x-"):
            continue
        at = pointer_of(("paths", key))
        path = _path(key, at, findings)
        if not isinstance(item, dict):
            findings.add(at, "This should be an object with the operations of a path. It was left out.")
            continue
        for method, content, pointer, said in _of_item(item, at, look, findings):
            if not isinstance(content, dict):
                findings.add(said, "This should be an object that describes an operation. It was left out.")
            elif (method, path) in taken:
                findings.add(said, f"{method} {quoted(path)} stands here twice. This one was left out.")
            else:
                taken.add((method, path))
                yield _Found(method, path, content, pointer, said)


def _of_item(item: dict[str, Any], at: str, look: Look, findings: Findings) -> Iterator[tuple[str, Any, str, str]]:
    """(method, operation object, its pointer, where that is said) of one path."""
    yield from _methods(item, at, at, findings)
    if isinstance(item.get("$ref"), str):
        whole, name = follow({"$ref": item["$ref"]}, look)
        if isinstance(whole, dict) and name.startswith("/"):
            beside = {key.upper() for key in item}
            rest = {key: value for key, value in whole.items() if key.upper() not in beside}
            yield from _methods(rest, name, at, findings)


def _methods(item: dict[str, Any], pointer: str, said: str, findings: Findings) -> Iterator[tuple[str, Any, str, str]]:
    # Rightly written ones first: of `get` and `GET` the first is meant.
    for key, content in sorted(item.items(), key=lambda pair: pair[0] not in METHODS):
        method = key.lower()
        if key in _OF_PATH_ITEMS or method not in METHODS:
            continue
        steps = pointer_of((key,))
        if key != method:
            findings.add(said + steps, f"Methods are written small here. {quoted(key)} was read as {method}.")
        yield method.upper(), content, pointer + steps, said + steps
    for key, content in object_of(item.get("additionalOperations")).items():
        steps = pointer_of(("additionalOperations", key))
        if not _METHOD.fullmatch(key.upper()):
            findings.add(said + steps, f"{quoted(key)} is no method. It was left out.")
            continue
        yield key.upper(), content, pointer + steps, said + steps


def _path(key: str, at: str, findings: Findings) -> str:
    path = key if key.startswith("/") else f"/{key}"
    if path != key:
        findings.add(at, f"A path begins with a slash. {quoted(key)} was read as {quoted(path)}.")
    if "?" in path or "#" in path:
        findings.add(at, "Only what stands before ? or # is the path. Calls are told apart by that alone.")
    return path


def _ids(found: list[_Found], findings: Findings) -> list[str]:
    """The operationId where it can be one and no other is equal, whatever the case of its letters; otherwise made of
    method and path, with a hash of them where that would be too long or not alone."""
    given = [line_of(it.content.get("operationId")) for it in found]
    times = Counter(word.lower() for word in given)
    ids = [word if _ID.fullmatch(word) and times[word.lower()] == 1 else "" for word in given]
    taken = {id_.lower() for id_ in ids if id_}
    made = ["" if id_ else _made(it) for it, id_ in zip(found, ids, strict=True)]
    alike = Counter(word.lower() for word in made)
    given_away = taken | alike.keys()
    for n, (it, word) in enumerate(zip(found, made, strict=True)):
        if word:
            is_alone = alike[word.lower()] == 1 and word.lower() not in taken
            ids[n] = word if is_alone and len(word) <= LONGEST_ID else _with_hash(word, it, given_away)
            given_away.add(ids[n].lower())
    _warn_of_ids(found, given, ids, times, findings)
    return ids


def _made(found: _Found) -> str:
    return f"{found.method.lower()}-{_NOT_OF_IDS.sub('-', found.path).strip('-.') or 'root'}"


def _with_hash(word: str, found: _Found, taken: set[str]) -> str:
    digest = hashlib.sha256(f"{found.method} {found.path}".encode()).hexdigest()
    for length in range(8, 40, 4):
        id_ = f"{word[: LONGEST_ID - length - 1].rstrip('-.')}-{digest[:length]}"
        if id_.lower() not in taken:
            break
    return id_


def _warn_of_ids(
    found: list[_Found], given: list[str], ids: list[str], times: Counter[str], findings: Findings
) -> None:
    odd: list[int] = []
    said: set[str] = set()
    for n, (word, id_) in enumerate(zip(given, ids, strict=True)):
        if word in ("", id_):
            continue
        if times[word.lower()] == 1:
            odd.append(n)
        elif word.lower() not in said:
            said.add(word.lower())
            findings.add(
                f"{found[n].said}/operationId",
                f"{quoted(word)} is the id of {times[word.lower()]:,} operations. Ids made of their methods and paths "
                f"are used instead, such as {quoted(id_)}.",
            )
    if odd:
        first = odd[0]
        findings.add(
            f"{found[first].said}/operationId",
            f"{number_of(len(odd), 'operationId')} cannot stand in an address: more than {LONGEST_ID} characters, or "
            "others than A-Z, digits, dots, dashes and underscores. Ids made of methods and paths are used instead, "
            f"such as {quoted(ids[first])} for {quoted(given[first])}.",
        )


def _warn_of_clashes(found: list[_Found], findings: Findings) -> None:
    """Templates that match the very same calls: https://spec.openapis.org/oas/v3.1.1#paths-object"""
    firsts: dict[tuple[str, str], _Found] = {}
    for it in found:
        first = firsts.setdefault((it.method, _VARIABLE.sub("{}", it.path)), it)
        if first is not it:
            findings.add(it.said, f"{quoted(it.path)} matches the same calls as {quoted(first.path)} above.")


def _warn_of_servers(tree: dict[str, Any], found: list[_Found], findings: Findings) -> None:
    parts = [(f"{it.said}/servers", it.content.get("servers")) for it in found]
    parts += [
        (pointer_of(("paths", key, "servers")), object_of(item).get("servers"))
        for key, item in object_of(tree.get("paths")).items()
    ]
    own = [(pointer, servers) for pointer, servers in parts if list_of(servers)]
    usual = tree.get("servers") or (own[-1][1] if own else None)
    others = [pointer for pointer, servers in own if servers != usual]
    if others:
        findings.add(
            others[0],
            f"At {number_of(len(others), 'place')} below the paths, other servers stand than the document's own. They "
            "are not used: the gateway sends all calls of an API to one upstream.",
        )
