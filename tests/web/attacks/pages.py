"""Walks through every page, and reads what a page is made of as a browser would."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from portal.web.guards import permission_of
from tests.conftest import sign_in
from tests.web.test_permissions import TABLE, World, _address, _requests


def browser(world: World, who: str, *, tokens: bool = False) -> FlaskClient:
    """A browser with one of the world's people behind it. `tokens`: forms must carry theirs."""
    world.app.config.update(WTF_CSRF_ENABLED=tokens, PROPAGATE_EXCEPTIONS=False)
    client = world.app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    return sign_in(client, world.people[who])


def routes(world: World, method: str) -> list[tuple[Rule, str]]:
    """Every route that takes `method`, with an address of things that exist."""
    return [(rule, _address(world, rule)) for rule, each in _requests(world.app) if each == method]


def walk(world: World, who: str = "administrator", query: str = "") -> Iterator[tuple[str, TestResponse]]:
    """Every page that `who` may see, as the answer to a GET."""
    client = browser(world, who)
    for rule, address in routes(world, "GET"):
        permission = permission_of(world.app, rule.endpoint)
        if permission is not None and who in TABLE[permission]:
            with client.get(address + query) as answer:
                yield address, answer


class Page(HTMLParser):
    """`elements` are (name, attributes), `scripts` (attributes, content), `texts` all that is read or typed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.texts: list[str] = []
        self._script: dict[str, str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        self.texts += attributes.values()
        if tag in {"script", "style"}:
            self._script = attributes
            self.scripts.append((attributes, ""))

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[-1] = (self._script, self.scripts[-1][1] + data)
        else:
            self.texts.append(data)

    def addresses(self) -> list[tuple[str, str, str]]:
        """(element, attribute, address) of everything that leads somewhere or is loaded."""
        return [
            (tag, name, value)
            for tag, attributes in self.elements
            for name, value in attributes.items()
            if name in {"href", "src", "action", "formaction", "srcset", "poster", "data", "hx-get", "hx-post"}
        ]


def rows(world: World, *but: str) -> dict[str, list[Any]]:
    """All that is stored, by table, `but` some tables. Attempts to sign in are counted whatever they come to,
    and who walks the pages has signed in."""
    path = world.app.extensions["portico"].data_dir / "portico.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: sorted(database.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)
            for table in tables
            if table not in {"throttle", "sign_in", *but}
        }
