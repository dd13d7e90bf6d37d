"""Schema trees as pages show them: every field with an anchor, texts as HTML, what is cut as a link. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from markupsafe import Markup

from portal.openapi.references import Look
from portal.openapi.schemas import WORDS, SchemaNode, tree_of
from portal.web.docs.source import Links
from portal.web.markdown import html_of

MOST_NODES = 100
"""Fields of one schema that a page shows before it links to the rest."""
MOST_ON_PAGE = 500
DEEPEST = 4
_LEAST = 12
"""What every schema may show, however many stood before it."""
_ROOM = 1_500
"""Fields, or as many times `WORDS` characters, after which a page begins nothing more: some MB of HTML."""
_OPEN_UP_TO = 20
"""A tree of so few fields is shown whole, with nothing folded in."""
Thing = TypeVar("Thing")
_ODD = re.compile(r"[^A-Za-z0-9_.:-]+")


@dataclass(frozen=True, slots=True)
class Field:
    anchor: str
    name: str
    """"" where it is an item, a value, or a choice without a name."""
    type: str
    description: Markup
    facts: tuple[str, ...]
    """Constraints, in words."""
    required: bool
    deprecated: bool
    access: str
    """`read-only`, `write-only` or ""."""
    default: str | None
    const: str | None
    enum: tuple[str, ...]
    more_enum: int
    examples: tuple[str, ...]
    parts: tuple["Part", ...]
    """What it is made of."""
    inside: str
    """What `parts` hold, in words: `4 properties`."""
    more: int
    """How many fields are left out."""
    more_url: str
    """Where they are; "" where only the document has them."""
    more_label: str
    repeats: str
    """The name of the schema that begins again here."""
    repeats_url: str

    @property
    def says_something(self) -> bool:
        return bool(self.description or self.facts or self.enum or self.const or self.default or self.examples)


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    """`One of these`, `Each item`; "" for properties."""
    note: Field | None
    """What is known of each item or value."""
    fields: tuple[Field, ...]
    anchor: str = ""
    """Of what each value is, which has no field of its own."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Some of many things in one place of a page, and the way to the others; an address is "" where there are none."""

    start: int
    end: int
    count: int
    before_url: str
    after_url: str


@dataclass(frozen=True, slots=True)
class Tree:
    root: Field
    is_small: bool
    """So small that nothing needs to be folded in."""
    turn: Turn | None = None
    """Of properties or choices that are too many for one page."""


class Anchors:
    """Names for places of a page, each given once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, *words: str) -> str:
        wanted = ".".join(_ODD.sub("-", word).strip("-") or "x" for word in words)[:200]
        name, n = wanted, 1
        while name in self._taken:
            n += 1
            name = f"{wanted}~{n}"
        self._taken.add(name)
        return name


class Grower:
    """Makes the trees of one page, which share what the page may hold."""

    def __init__(
        self, look: Look, links: Links, here: str, *, depth: int = DEEPEST, asked: Callable[[str], int] = lambda _: 0
    ) -> None:
        """`here` is the page's own address, for what is cut within a schema that has no page, or of a list of many;
        `asked` says how many of a place's things are to be left out before the first one that is shown."""
        self.look = look
        self.anchors = Anchors()
        self._links = links
        self._here = here
        self._asked = asked
        self._deeper = f"{here}?depth={depth + 4}" if depth <= DEEPEST else ""
        self._depth = depth
        self._times = 1 if depth <= DEEPEST else 4
        self._used = 0
        self._holder: SchemaNode | None = None
        self._next_url = ""
        self.turns: dict[str, Turn] = {}
        """By place: where some of many are shown."""

    def some(self, place: str, things: Sequence[Thing], most: int) -> Iterator[Thing]:
        """As many as this page has room for, at least one, from where its address says. The rest is in `turns`."""
        start = self._asked(place)
        start = end = start if start < len(things) else 0
        while end < min(start + most, len(things)) and (end == start or self._used < _ROOM):
            end += 1
            yield things[end - 1]
        if turn := self._turn(place, start, end, len(things), step=most):
            self.turns[place] = turn

    def html(self, text: str, level: int = 3) -> Markup:
        """A text that an author wrote."""
        html = html_of(text, level)
        self._used += len(html) // WORDS
        return html

    def cut(self, text: str, most: int) -> str:
        """An example or other code."""
        self._used += min(len(text), most) // WORDS
        return text if len(text) <= most else f"{text[:most]}\n…"

    def _turn(self, place: str, start: int, end: int, count: int, *, step: int) -> Turn | None:
        """None where all are shown."""
        if end - start >= count:
            return None
        before = self._at(place, max(0, start - step)) if start else ""
        return Turn(start, end, count, before, self._at(place, end) if end < count else "")

    def _at(self, place: str, start: int) -> str:
        return f"{self._here}?{urlencode({place: start})}#{place.partition('/')[0]}"

    def tree(self, schema: Any, *anchor: str, **known: Any) -> Tree:
        """`known` are words of a parameter or header that say more than its schema does."""
        most = max(_LEAST, min(MOST_ON_PAGE * self._times - self._used, MOST_NODES * self._times))
        place = self.anchors.new(*anchor)
        start = self._asked(place)
        node = tree_of(schema, self.look, most=most, deepest=self._depth, skip=start)
        if start and not _shown(_holder(node)):
            start, node = 0, tree_of(schema, self.look, most=most, deepest=self._depth)
        if known:
            node = replace(node, **{name: value for name, value in known.items() if value})
        self._holder, turn = _holder(node), None
        if count := _shown(self._holder):
            turn = self._turn(place, start, start + count, start + count + self._holder.more, step=count)
        self._next_url = turn.after_url if turn else ""
        size = node.size
        self._used += size
        return Tree(self._field(node, place, {}), size <= _OPEN_UP_TO, turn)

    def _field(self, node: SchemaNode, anchor: str, around: dict[str, str], name: str | None = None) -> Field:
        if node.title:
            around = {**around, node.title: anchor}
        parts = tuple(self._parts(node, anchor, around))
        more_url, more_label = self._more(node)
        return Field(
            anchor=anchor,
            name=node.name if name is None else name,
            type=node.type,
            description=html_of(node.description, level=6),
            facts=node.constraints + (("no other properties",) if node.closed and node.children else ()),
            required=node.required,
            deprecated=node.deprecated,
            access="read-only" if node.read_only else "write-only" if node.write_only else "",
            default=node.default,
            const=node.const,
            enum=node.enum,
            more_enum=node.more_enum,
            examples=node.examples,
            parts=parts,
            inside=_inside(node),
            more=node.more,
            more_url=more_url,
            more_label=more_label,
            repeats=node.repeats,
            repeats_url=f"#{around[node.repeats]}" if node.repeats in around else "",
        )

    def _more(self, node: SchemaNode) -> tuple[str, str]:
        if node is self._holder and self._next_url:
            return self._next_url, "go on with the next"
        if node.pointer:
            return self._links.schema(node.pointer), f"open {node.type}"
        return self._deeper, "open more levels"

    def _parts(self, node: SchemaNode, anchor: str, around: dict[str, str]) -> list[Part]:
        parts: list[Part] = []
        if node.children:
            parts.append(
                Part("", None, tuple(self._below(child, anchor, child.name, around) for child in node.children))
            )
        if node.choices:
            title = "One of these" if node.choice == "one of" else "Any of these"
            title += f", told apart by {node.discriminator}" if node.discriminator else ""
            fields = (
                self._below(choice, anchor, choice.title or str(n), around, name=choice.title or f"Choice {n}")
                for n, choice in enumerate(node.choices, 1)
            )
            parts.append(Part(title, None, tuple(fields)))
        for title, below, step in (("Each item", node.items, ""), ("Each value, under any name", node.values, "*")):
            if below is not None:
                own = self.anchors.new(anchor, step) if step else ""
                first, *rest = self._each(title, below, own or anchor, around)
                parts += [replace(first, anchor=own), *rest]
        return parts

    def _each(self, title: str, node: SchemaNode, anchor: str, around: dict[str, str]) -> list[Part]:
        """Of an array of objects the objects' fields are shown at once: nobody wants to open two things."""
        each = self._field(node, anchor, around)
        note = replace(each, parts=()) if each.says_something or each.more or each.repeats or not each.parts else None
        if not each.parts:
            return [Part(title, note, ())]
        first, *rest = each.parts
        return [Part(first.title or title, note, first.fields), *rest]

    def _below(
        self, node: SchemaNode, anchor: str, step: str, around: dict[str, str], name: str | None = None
    ) -> Field:
        return self._field(node, self.anchors.new(anchor, step), around, name)


def _holder(node: SchemaNode) -> SchemaNode:
    """Whose properties or choices `skip` of `tree_of` is about."""
    while node.items is not None and not _shown(node):
        node = node.items
    return node


def _shown(node: SchemaNode) -> int:
    return len(node.children) + len(node.choices)


def _inside(node: SchemaNode) -> str:
    if node.items is not None and not node.children and not node.choices:
        return _inside(node.items) or "what each item is"
    if node.children:
        count = len(node.children) + (0 if node.choices else node.more)
        return f"{count:,} {'property' if count == 1 else 'properties'}"
    if node.choices:
        return f"{node.choice} {len(node.choices) + node.more:,}"
    return "what each value is" if node.values is not None else ""
