"""Which operation of an API a call was: a trie from method and path to the operation's name. Pure.

A path template is matched segment by segment, and what is more concrete wins in the first segment that differs: a
literal, then a partly literal one (`{id}.json`, `v{n}`; more letters before fewer), then a variable, then a variable
for all that is left (`{proxy+}`, as gateways write it). A path that no template matches is tried once more with or
without a slash at its end. HEAD is GET where only GET is described.
https://spec.openapis.org/oas/v3.1.1#path-templating-matching
"""

import re
from collections.abc import Iterable
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

MOST_STEPS = 500
"""Of one search. Templates made for it would cost a call seconds; this way they cost it some 0.1 ms, and its name."""
_LONGEST_TEMPLATE = 100
"""Segments."""

_VARIABLE = re.compile(r"\{[^{}]*\}")
_REST = re.compile(r"\{(?:[+*][^{}]*|[^{}]*(?:[+*]|\.\.\.))\}")

# A node is one dict, a third of what an object with fields takes: its literal segments, and under names that no segment
# can have, since they hold a slash, the rest. Operations stand under a slash and their method.
_Node = dict[str, Any]
_ANY, _PARTLY, _LEFT = "//any", "//partly", "//left"


class Trie:
    """Of `operations`, which are (method, path template, name); of two that match the same calls the first counts.

    `size` is how many there are. Takes 250 to 500 bytes for each.
    """

    def __init__(self, operations: Iterable[tuple[str, str, str]]) -> None:
        self._root: _Node = {}
        self.size = 0
        texts: dict[str, str] = {}  # each text once, however many nodes have it
        for method, path, name in operations:
            self.size += 1
            segments = segments_of(path)
            if len(segments) <= _LONGEST_TEMPLATE:
                node = self._root
                for n, segment in enumerate(segments, 1):
                    node = _below(node, segment, texts, is_last=n == len(segments))
                node.setdefault(texts.setdefault(f"/{method}", f"/{method}"), name)

    def find(self, method: str, path: str) -> str:
        """The operation's name; '' when none describes the call. `path` is as the client sent it, without a query."""
        segments = path.split("/")
        if segments[0]:
            return ""
        if "%" in path:
            segments = [_plain(segment) for segment in segments]
        end = f"/{method}"
        name = self._straight(end, segments) or self._search(end, segments)
        if not name and segments[-1]:
            name = self._search(end, [*segments, ""])
        elif not name and len(segments) > 2:
            name = self._search(end, segments[:-1])
        return name

    def _straight(self, end: str, segments: list[str]) -> str | None:
        """What `search` would find if its first way leads there, in half the time: it nearly always does."""
        node = self._root
        for segment in segments[1:]:
            if segment in node:
                node = node[segment]
            elif _ANY in node and segment and _PARTLY not in node:
                node = node[_ANY]
            else:
                return None
        return node.get(end)

    def _search(self, end: str, segments: list[str]) -> str:
        node, depth, last = self._root, 1, len(segments)
        later: list[tuple[_Node, int]] = []  # other ways, the best of them at the end
        steps = 0
        while steps < MOST_STEPS:
            steps += 1
            found = None
            if depth < last:
                segment = segments[depth]
                depth += 1
                found = node.get(segment)
                if segment:
                    if _LEFT in node:
                        later.append((node[_LEFT], last))
                    if _ANY in node:
                        later.append((node[_ANY], depth))
                    if _PARTLY in node:
                        tried, fitting = node[_PARTLY].fitting(segment)
                        later += [(each, depth) for each in fitting]
                        steps += tried
            elif name := node.get(end) or (end == "/HEAD" and node.get("/GET")):
                return str(name)
            if found is not None:
                node = found
            elif later:
                node, depth = later.pop()
            else:
                break
        return ""


class _Partly:
    """The partly literal segments below one node, found by how they begin and end."""

    __slots__ = ("_count", "_lengths", "_patterns")

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, str], dict[tuple[str, ...], tuple[int, int, _Node]]] = {}
        self._lengths: set[tuple[int, int]] = set()
        """Of beginnings and ends."""
        self._count = 0

    def node_of(self, pieces: list[str]) -> _Node:
        """`pieces` is what stands before, between and after the variables."""
        begin, *middle, end = pieces
        alike = self._patterns.setdefault((begin, end), {})
        if tuple(middle) not in alike:
            self._lengths.add((len(begin), len(end)))
            self._count += 1
            alike[tuple(middle)] = sum(map(len, pieces)), -self._count, {}
        return alike[tuple(middle)][2]

    def fitting(self, segment: str) -> tuple[int, list[_Node]]:
        """How many steps it took, and the nodes of those that match, the best last."""
        found: list[tuple[int, int, _Node]] = []
        tried, piece = len(self._lengths), 1 + len(segment) // 200
        for begin, end in self._lengths if tried < MOST_STEPS else ():
            stop = len(segment) - end
            for middle, pattern in self._patterns.get((segment[:begin], segment[stop:]), {}).items():
                tried += 1 + piece * len(middle)
                if tried > MOST_STEPS:
                    return tried, []
                if _fits(segment, begin, middle, stop):
                    found.append(pattern)
        return tried, [node for _, _, node in sorted(found, key=itemgetter(0, 1))]


def _fits(segment: str, at: int, middle: tuple[str, ...], stop: int) -> bool:
    """Whether variables of at least one character, with `middle` between them, fill the segment from `at` to `stop`."""
    for piece in middle:
        # The first place is always the best one: it leaves most to the variables behind.
        at = segment.find(piece, at + 1, stop)
        if at < 0:
            return False
        at += len(piece)
    return at < stop


def pieces_of(segment: str) -> list[str]:
    """What stands before, between and after the variables of a template's segment, without percent-encoding."""
    return [_plain(piece) for piece in _VARIABLE.split(segment)]


def is_rest(segment: str) -> bool:
    """Whether a template's last segment is a variable for all that is left."""
    return _REST.fullmatch(segment) is not None


def segments_of(template: str) -> list[str]:
    return re.split(r"[?#]", template, maxsplit=1)[0].split("/")[1:]


def _below(node: _Node, segment: str, texts: dict[str, str], *, is_last: bool) -> _Node:
    """The node that this segment of a template leads to, made if need be."""
    found: _Node
    pieces = pieces_of(segment)
    if is_last and is_rest(segment):
        found = node.setdefault(_LEFT, {})
    elif len(pieces) == 1:
        found = node.setdefault(texts.setdefault(pieces[0], pieces[0]), {})
    elif pieces == ["", ""]:
        found = node.setdefault(_ANY, {})
    else:
        if _PARTLY not in node:
            node[_PARTLY] = _Partly()
        found = node[_PARTLY].node_of(pieces)
    return found


def _plain(text: str) -> str:
    """Without percent-encoding, but for that of a slash: it does not end a segment."""
    return unquote(text).replace("/", "%2F")
