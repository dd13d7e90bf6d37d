"""One operation as its page shows it: what it takes, what it answers, and how a call of it is written. Pure.

The document may say anything anywhere: what is not what it should be is left out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from portal.openapi import bodies
from portal.openapi.export import KeyPlace
from portal.openapi.loosely import line_of, list_of, object_of, text_of
from portal.openapi.references import METHODS, Look, escaped, follow
from portal.openapi.samples import sample_of_media
from portal.openapi.snippets import VARIABLE, call_of, snippets
from portal.web.docs.fields import Grower, Tree, Turn
from portal.web.docs.navigation import Entry
from portal.web.docs.source import Source

_LONGEST_EXAMPLE = 20_000
_MOST_EXAMPLES = 5
_MOST = 100
"""Parameters, answers, headers and so on that a page shows before it leads to the rest."""
_MOST_MEDIA = 20
_LONGEST_LINE = 1_000
_PLACES = {
    "path": "In the path",
    "query": "In the query",
    "querystring": "The whole query",
    "header": "Headers",
    "cookie": "Cookies",
}
_STYLES = {
    ("form", False): "values separated by commas",
    ("spaceDelimited", False): "values separated by spaces",
    ("pipeDelimited", False): "values separated by |",
    ("deepObject", True): "each property as name[property]",
    ("label", False): "begins with a dot",
    ("matrix", False): "begins with a semicolon and its name",
}


@dataclass(frozen=True, slots=True)
class Example:
    title: str
    description: Markup
    text: str
    url: str = ""
    """Where the document says that the value is to be found."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a body is made of, in one or several media types that mean the same."""

    media: tuple[str, ...]
    tree: Tree | None
    """None where the document says nothing about it."""
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    title: str
    place: str
    trees: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Body:
    anchor: str
    description: Markup
    required: bool
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class Aside:
    """A callback, a link, a security scheme: told in words only."""

    title: str
    description: Markup
    details: tuple[str, ...] = ()
    place: str = ""
    """Of `details`, among the turns of the page."""


@dataclass(frozen=True, slots=True)
class Response:
    anchor: str
    status: str
    """As the document says: `200`, `4XX`, `default`."""
    description: Markup
    headers: tuple[Tree, ...]
    contents: tuple[Content, ...]
    links: tuple[Aside, ...]

    @property
    def code(self) -> int | None:
        """For its colour."""
        digits = self.status[:1] + "00" if self.status[1:].upper() == "XX" else self.status
        return int(digits) if digits.isdecimal() and len(digits) == 3 else None


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class OperationView:
    entry: Entry
    url: str
    """The gateway's address with the path's template."""
    description: Markup
    more_url: str
    """What the document points to for more."""
    more_label: str
    parameters: tuple[Parameters, ...]
    body: Body | None
    responses: tuple[Response, ...]
    snippets: tuple[Snippet, ...]
    security: tuple[Aside, ...]
    callbacks: tuple[Aside, ...]
    turns: dict[str, Turn]
    """By place: `parameters`, `responses`, `<anchor>/headers` and so on, where some of many are shown."""


def view_of(source: Source, entry: Entry, content: dict[str, Any], grower: Grower) -> OperationView:
    """`content` is whole (`references.operation_at`); `grower` follows its references."""
    about, look = source.about, grower.look
    server = about.addresses[0].rstrip("/") if about.addresses else ""
    more = object_of(content.get("externalDocs"))
    more_url = line_of(more.get("url"))
    call = call_of(entry.method, entry.path, content, look, server=server, key=about.key)
    written = snippets(call)
    texts = (
        ("curl", "curl", written.curl),
        ("python", "Python", written.python),
        ("javascript", "JavaScript", written.javascript),
    )
    return OperationView(
        entry=entry,
        url=server + entry.path,
        description=grower.html(text_of(content.get("description")), level=2),
        more_url=more_url if more_url.startswith(("http://", "https://")) else "",
        more_label=line_of(more.get("description")) or "More about this operation",
        parameters=tuple(_parameters(content, grower, about.key)),
        body=_body(content, grower),
        responses=tuple(_responses(content, grower)),
        snippets=tuple(
            Snippet(id, label, grower.cut(text.replace(VARIABLE, about.variable), _LONGEST_EXAMPLE))
            for id, label, text in texts
        ),
        security=tuple(_security(content, grower)),
        callbacks=tuple(_callbacks(content, grower)),
        turns=grower.turns,
    )


def _parameters(content: dict[str, Any], grower: Grower, key: KeyPlace | None) -> list[Parameters]:
    found: dict[str, list[Tree]] = {}
    for entry in grower.some("parameters", list_of(content.get("parameters")), _MOST):
        parameter = object_of(follow(entry, grower.look)[0])
        name, place = line_of(parameter.get("name")), line_of(parameter.get("in"))
        if name and place in _PLACES and not _is_key(key, place, name):
            found.setdefault(place, []).append(_holder(parameter, grower, "parameter", name))
    return [Parameters(_PLACES[place], place, tuple(found[place])) for place in _PLACES if place in found]


def _holder(holder: dict[str, Any], grower: Grower, word: str, name: str, *anchor: str) -> Tree:
    """A parameter or header: its schema, and what it says beside."""
    media = object_of(follow(next(iter(object_of(holder.get("content")).values()), None), grower.look)[0])
    schema = holder["schema"] if "schema" in holder else media.get("schema", {})
    style = holder.get("style", "form" if holder.get("in") in ("query", "cookie") else "simple")
    explode = holder.get("explode", style in ("form", "deepObject")) is True
    tree = grower.tree(
        schema,
        *anchor,
        f"{word}-{name}",
        name=name,
        required=holder.get("required") is True or holder.get("in") == "path",
        deprecated=holder.get("deprecated") is True,
        description=text_of(holder.get("description")),
        examples=tuple(
            grower.cut(json.dumps(example, ensure_ascii=False, default=str), 500)
            for example in _values_of(holder, grower.look)
        ),
    )
    said = _STYLES.get((style, explode)) if isinstance(style, str) else None
    if said and (style != "form" or "array" in tree.root.type):
        return Tree(replace(tree.root, facts=(*tree.root.facts, said)), tree.is_small)
    return tree


def _body(content: dict[str, Any], grower: Grower) -> Body | None:
    said = object_of(follow(content.get("requestBody"), grower.look)[0])
    if not said:
        return None
    anchor = grower.anchors.new("request-body")
    return Body(
        anchor,
        grower.html(text_of(said.get("description")), level=4),
        said.get("required") is True,
        tuple(_contents(said, grower, anchor, "body", sending=True)),
    )


def _responses(content: dict[str, Any], grower: Grower) -> list[Response]:
    found = []
    responses = {str(status): said for status, said in object_of(content.get("responses")).items()}
    statuses = [status for status in responses if not status.startswith("x-")]
    statuses.sort(key=lambda it: (not it[:1].isdigit(), it.upper()))
    for status in grower.some("responses", statuses, _MOST):
        said = object_of(follow(responses[status], grower.look)[0])
        anchor = grower.anchors.new(f"response-{status}")
        headers = [
            _holder(object_of(follow(header, grower.look)[0]), grower, "header", str(name), anchor)
            for name, header in grower.some(f"{anchor}/headers", list(object_of(said.get("headers")).items()), _MOST)
        ]
        found.append(
            Response(
                anchor,
                status,
                grower.html(text_of(said.get("description")), level=4),
                tuple(headers),
                tuple(_contents(said, grower, anchor, anchor, "body", sending=False)),
                tuple(_links(said, grower, anchor)),
            )
        )
    return found


def _contents(said: dict[str, Any], grower: Grower, place: str, *anchor: str, sending: bool) -> list[Content]:
    """Media types with the same schema and the same examples are told together."""
    found: list[tuple[Any, Content]] = []
    for media, entry in grower.some(f"{place}/media", list(object_of(said.get("content")).items()), _MOST_MEDIA):
        holder = object_of(follow(entry, grower.look)[0])
        schema = holder.get("schema", holder.get("itemSchema"))
        same = next((n for n, (other, _) in enumerate(found) if other == holder), None)
        if same is not None:
            _, one = found[same]
            found[same] = (holder, Content((*one.media, str(media)), one.tree, one.examples))
            continue
        tree = None if schema in (None, {}) else grower.tree(schema, *anchor)
        found.append((holder, Content((str(media),), tree, tuple(_examples(str(media), holder, grower, sending)))))
    return [content for _, content in found]


def _examples(media: str, holder: dict[str, Any], grower: Grower, sending: bool) -> list[Example]:
    schema, look = holder.get("schema", {}), grower.look
    named = []
    for name, entry in list(object_of(holder.get("examples")).items())[:_MOST_EXAMPLES]:
        example = object_of(follow(entry, look)[0])
        value = next((example[key] for key in ("value", "dataValue", "serializedValue") if key in example), None)
        url = line_of(example.get("externalValue"))
        title = line_of(example.get("summary")) or str(name)
        words = grower.html(text_of(example.get("description")), level=5)
        if value is not None or url.startswith(("http://", "https://")):
            text = "" if value is None else grower.cut(bodies.body_text(media, value, schema, look), _LONGEST_EXAMPLE)
            named.append(Example(title, words, text, "" if text else url))
    if named and "example" not in holder:
        return named
    if not holder or (sending and "example" not in holder):
        # The ready commands carry one that is made of the schema.
        return []
    value = sample_of_media(holder, look, sending=sending)
    if value is None or (isinstance(value, str | bytes) and not bodies.is_json(media) and "example" not in holder):
        return []
    text = grower.cut(bodies.body_text(media, value, schema, look), _LONGEST_EXAMPLE)
    return [Example("Example", Markup(""), text)]


def _security(content: dict[str, Any], grower: Grower) -> Iterator[Aside]:
    """What the document itself asks for, which the gateway does not check."""
    asked = {
        str(name): [line_of(scope) for scope in list_of(scopes) if line_of(scope)]
        for requirement in list_of(content.get("security"))
        for name, scopes in object_of(requirement).items()
    }
    for name, scopes in grower.some("security", list(asked.items()), _MOST):
        pointer = f"#/components/securitySchemes/{escaped(name)}"
        scheme = object_of(follow({"$ref": pointer}, grower.look)[0])
        yield _aside(_scheme(name, scheme), scheme, scopes, grower, "security", name)


def _scheme(name: str, scheme: dict[str, Any]) -> str:
    kind, where = line_of(scheme.get("type")).lower(), line_of(scheme.get("in"))
    match kind:
        case "apikey":
            return f"{name}: a key in the {where} {line_of(scheme.get('name'))}"
        case "http":
            return f"{name}: HTTP {line_of(scheme.get('scheme')).capitalize()}"
        case "oauth2":
            return f"{name}: OAuth 2"
        case "openidconnect":
            return f"{name}: OpenID Connect"
        case "mutualtls":
            return f"{name}: a client certificate"
    return name


def _callbacks(content: dict[str, Any], grower: Grower) -> Iterator[Aside]:
    for name, entry in grower.some("callbacks", list(object_of(content.get("callbacks")).items()), _MOST):
        callback = object_of(follow(entry, grower.look)[0])
        called = [
            f"{method.upper()} {address}"
            + (f" – {summary}" if (summary := line_of(object_of(said).get("summary"))) else "")
            for address, item in callback.items()
            if not str(address).startswith("x-")
            for method, said in object_of(follow(item, grower.look)[0]).items()
            if method in METHODS
        ]
        yield _aside(str(name), {}, called, grower, "callbacks", str(name))


def _links(said: dict[str, Any], grower: Grower, anchor: str) -> Iterator[Aside]:
    for name, entry in grower.some(f"{anchor}/links", list(object_of(said.get("links")).items()), _MOST):
        link = object_of(follow(entry, grower.look)[0])
        target = line_of(link.get("operationId")) or line_of(link.get("operationRef"))
        given = [f"{key} = {line_of(value)}" for key, value in object_of(link.get("parameters")).items()]
        title = f"{name} leads to {target}" if target else str(name)
        yield _aside(title, link, given, grower, anchor, str(name))


def _aside(title: str, said: dict[str, Any], details: list[str], grower: Grower, section: str, name: str) -> Aside:
    place = f"{section}/{grower.anchors.new(section, name)}"
    some = [grower.cut(detail, _LONGEST_LINE) for detail in grower.some(place, details, _MOST)]
    return Aside(grower.cut(title, _LONGEST_LINE), grower.html(text_of(said.get("description"))), tuple(some), place)


def _values_of(holder: dict[str, Any], look: Look) -> list[Any]:
    if "example" in holder:
        return [holder["example"]]
    examples = (object_of(follow(entry, look)[0]) for entry in object_of(holder.get("examples")).values())
    return [example["value"] for example in examples if "value" in example][:_MOST_EXAMPLES]


def _is_key(key: KeyPlace | None, place: str, name: str) -> bool:
    """The gateway takes it off: nobody sends it beside their key."""
    if key is None or place not in {"header", "query"} or (key.place == "query") != (place == "query"):
        return False
    return name.lower() == ("authorization" if key.place in {"bearer", "basic"} else key.name.lower())
