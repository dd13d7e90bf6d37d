"""Schema trees as pages show them: every field with an anchor, texts as HTML, what is cut as a link. Pure."""

import re
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from portal.openapi.references import Look
from portal.openapi.schemas import SchemaNode, tree_of
from portal.web.docs.source import Links
from portal.web.markdown import html_of

MOST_NODES = 100
"""Fields of one schema that a page shows before it links to the rest."""
MOST_ON_PAGE = 500
DEEPEST = 4
_LEAST = 12
"""What every schema may show, however many stood before it."""
_OPEN_UP_TO = 20
"""A tree of so few fields is shown whole, with nothing folded in."""
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
class Tree:
    root: Field
    is_small: bool
    """So small that nothing needs to be folded in."""


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

    def __init__(self, look: Look, links: Links, here: str, *, depth: int = DEEPEST) -> None:
        """`here` is the page's own address, for what is cut within a schema that has no page."""
        self.look = look
        self.anchors = Anchors()
        self._links = links
        self._deeper = f"{here}?depth={depth + 4}"
        self._depth = depth
        self._left = MOST_ON_PAGE * (1 if depth <= DEEPEST else 4)

    def tree(self, schema: Any, *anchor: str, **known: Any) -> Tree:
        """`known` are words of a parameter or header that say more than its schema does."""
        most = max(_LEAST, min(self._left, MOST_NODES * (1 if self._depth <= DEEPEST else 4)))
        node = tree_of(schema, self.look, most=most, deepest=self._depth)
        if known:
            node = replace(node, **{name: value for name, value in known.items() if value})
        size = _size(node)
        self._left -= size
        return Tree(self._field(node, self.anchors.new(*anchor), {}), size <= _OPEN_UP_TO)

    def _field(self, node: SchemaNode, anchor: str, around: dict[str, str], name: str | None = None) -> Field:
        if node.title:
            around = {**around, node.title: anchor}
        parts = tuple(self._parts(node, anchor, around))
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
            more_url=self._links.schema(node.pointer) if node.pointer else self._deeper,
            repeats=node.repeats,
            repeats_url=f"#{around[node.repeats]}" if node.repeats in around else "",
        )

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


def _inside(node: SchemaNode) -> str:
    if node.items is not None and not node.children and not node.choices:
        return _inside(node.items) or "what each item is"
    if node.children:
        count = len(node.children) + (0 if node.choices else node.more)
        return f"{count:,} {'property' if count == 1 else 'properties'}"
    if node.choices:
        return f"{node.choice} {len(node.choices) + node.more:,}"
    return "what each value is" if node.values is not None else ""


def _size(node: SchemaNode) -> int:
    below = (*node.children, *node.choices, *(it for it in (node.items, node.values) if it is not None))
    return 1 + sum(_size(it) for it in below)
