"""The pages of docs, for whatever source they are read from."""

import json
from collections.abc import Sequence
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from portal.errors import NotFound
from portal.openapi.loosely import line_of, object_of, text_of
from portal.openapi.references import name_of
from portal.openapi.schemas import type_words
from portal.openapi.shapes import properties_of
from portal.openapi.snippets import VARIABLE, Call, call_of, curl
from portal.registry.sentences import first_sentence
from portal.web import lists
from portal.web.docs.fields import DEEPEST, Grower
from portal.web.docs.navigation import WINDOW, Entry, Group, Window, schemas_named, window, window_around
from portal.web.docs.operation import view_of
from portal.web.docs.source import Links, Source
from portal.web.markdown import LONGEST, html_of

_MOST_DEPTH = 20
_MOST_LISTED = 150
"""Operations of an API that its overview lists one by one; of larger ones it lists the tags."""
_MOST_GROUPS = 200
_MOST_LOOKED_AT = 1_000
_LONGEST_SEARCH = 200
_REQUEST_ID = "019a9f3c-5a31-7c3e-8d55-6f0d2b1c9e47"


def show_overview(source: Source) -> ResponseReturnValue:
    facts, about = source.facts, source.about
    description = about.description or (facts.description or facts.summary if facts else "")
    groups = source.index.groups[:_MOST_GROUPS]
    return _page(
        source,
        "overview",
        description=html_of(description, level=2),
        facts=facts,
        said=_said(source),
        first_call=_first_call(source),
        refusal=_refusal(source),
        groups=groups,
        told=_told(groups),
        more_groups=len(source.index.groups) - len(groups),
        are_listed=len(source.index.entries) <= _MOST_LISTED,
    )


def show_operations(source: Source) -> ResponseReturnValue:
    """A page, or its list alone for the field that filters while somebody types."""
    q, tag = lists.query()[:_LONGEST_SEARCH], lists.query("tag")
    group = source.index.group(tag)
    if tag and group is None:
        raise NotFound(f"No operation of this API has the tag {tag}.")
    found = window(source.index.find(q, tag), _whole_number("from", 0))
    if "HX-Request" in request.headers:
        return render_template("docs/_found.html", links=Links(source.about.base), found=found, q=q)
    return _page(source, "operations", open_group=group, q=q, found=found, description=group and group.description)


def show_operation(source: Source, name: str) -> ResponseReturnValue:
    entry = source.index.by_name.get(name)
    read = source.operation(name) if entry else None
    if entry is None or read is None:
        raise NotFound("This API has no such operation. Its docs list those that it has.")
    content, look = read
    links = Links(source.about.base)
    grower = Grower(look, links, links.operation(name), depth=_depth(), asked=_asked)
    group = source.index.group_of(entry)
    return _page(
        source,
        "operation",
        open_group=group,
        near=window_around(group.entries, entry),
        entry=entry,
        view=view_of(source, entry, content, grower),
    )


def show_schemas(source: Source) -> ResponseReturnValue:
    q = lists.query()[:_LONGEST_SEARCH]
    found = window(schemas_named(source.schemas, q), _whole_number("from", 0))
    said = source.content_of(found.entries)
    lines = [(it.name, it.pointer, *_in_short(said.get(it.pointer))) for it in found.entries]
    return _page(source, "schemas", q=q, found=found, lines=lines)


def show_schema(source: Source, pointer: str) -> ResponseReturnValue:
    """A part of the document that references lead to."""
    reference = {"$ref": f"#{pointer.removeprefix('#')}"}
    look = source.look(reference)
    try:
        found = look(pointer)
    except LookupError:
        found = None
    if found is None:
        raise NotFound("The document of this API has no such schema, or no operation refers to it.")
    links = Links(source.about.base)
    tree = Grower(look, links, here(), depth=_depth(), asked=_asked).tree(reference, "schema")
    title = name_of(pointer) or line_of(object_of(found).get("title")) or "Schema"
    return _page(source, "schema", title=title, schema=tree)


def _page(
    source: Source, name: str, *, open_group: Group | None = None, near: Window[Entry] | None = None, **values: object
) -> str:
    groups: Sequence[Group] = source.index.groups
    return render_template(
        f"docs/{name}.html",
        about=source.about,
        links=Links(source.about.base),
        nav_groups=_some(groups, open_group),
        nav_more=max(0, len(groups) - _MOST_GROUPS),
        open_group=open_group,
        near=near or (window(open_group.entries) if open_group else None),
        operation_count=len(source.index.entries),
        schema_count=len(source.schemas),
        WINDOW=WINDOW,
        **{"q": "", "entry": None} | values,
    )


def _told(groups: Sequence[Group]) -> set[str]:
    """Those whose descriptions fit on a page that lists them all."""
    left, told = LONGEST, set()
    for group in groups:
        if (left := left - len(group.description)) >= 0:
            told.add(group.name)
    return told


def _in_short(schema: Any) -> tuple[str, str]:
    """Its type in words, and the first sentence about it; either "" where it is not known."""
    kind, said = type_words(schema, _nowhere), object_of(schema)
    if count := len(properties_of(said)):
        kind += f" with {count:,} {'property' if count == 1 else 'properties'}"
    return "" if kind == "any" else kind, first_sentence(text_of(said.get("description")))


def _nowhere(pointer: str) -> Any:
    """A line of a list does not follow references: its type is called by their names."""
    raise LookupError(pointer)


def _some(groups: Sequence[Group], open_group: Group | None) -> list[Group]:
    some = list(groups[:_MOST_GROUPS])
    return some if open_group is None or open_group in some else [*some, open_group]


def _said(source: Source) -> dict[str, tuple[str, str]]:
    """Who made the API and on which terms, as the document says: what it is -> (words, address or "")."""
    try:
        info = object_of(source.look({"$ref": "#/info"})("/info"))
    except LookupError:
        return {}
    contact, licence = object_of(info.get("contact")), object_of(info.get("license"))
    address, mail = line_of(contact.get("url")), line_of(contact.get("email"))
    found = {
        "Contact": (line_of(contact.get("name")) or address, address),
        "Mail": (mail, f"mailto:{mail}"),
        "Licence": (line_of(licence.get("name")) or line_of(licence.get("identifier")), line_of(licence.get("url"))),
        "Terms": (line_of(info.get("termsOfService")), line_of(info.get("termsOfService"))),
    }
    return {
        what: (words, url if url.startswith(("http://", "https://", "mailto:")) else "")
        for what, (words, url) in found.items()
        if words
    }


def _first_call(source: Source) -> str:
    """Of an operation that asks for nothing in its path, or else of the address alone."""
    about = source.about
    if not about.addresses:
        return ""
    call = Call(
        "GET", about.addresses[0] + about.first_path, key=(about.key.place, about.key.name) if about.key else None
    )
    some = (it for it in source.index.entries[:_MOST_LOOKED_AT] if it.method == "GET" and "{" not in it.path)
    entry = next(some, None)
    read = source.operation(entry.name) if entry and not about.first_path else None
    if entry and read:
        call = call_of("GET", entry.path, *read, server=about.addresses[0], key=about.key)
    return curl(call).replace(VARIABLE, about.variable)


def _refusal(source: Source) -> str:
    """The body of the first one, as the gateway writes it."""
    if not source.about.refusals:
        return ""
    first = source.about.refusals[0]
    said = {"status": first.status, "message": first.sentence, "reason": first.reason, "request_id": _REQUEST_ID}
    return json.dumps(said, indent=2)


def _asked(place: str) -> int:
    return _whole_number(place, 0)


def _depth() -> int:
    return max(1, min(_whole_number("depth", DEEPEST), _MOST_DEPTH))


def _whole_number(name: str, default: int) -> int:
    text = request.args.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 8 else default


def here() -> str:
    return request.script_root + request.path
