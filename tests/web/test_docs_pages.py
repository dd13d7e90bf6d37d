"""The docs of APIs: every operation of real documents has its page, nothing in them runs, and who may not know of an
API finds none."""

import gzip
import html
import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import validate
from sqlalchemy import update

from portal import config_of, jobs, openapi, worker
from portal.db import utcnow
from portal.registry import exports
from portal.registry.models import Api, OpenAPIExport, Release, Visibility
from portal.web import docs
from tests import factories
from tests.conftest import sign_in

SPECS = sorted(path for path in (Path(__file__).parent.parent / "specs").iterdir() if path.suffix != ".md")
SAMPLE = 25
"""Operations of a large document that are looked at."""


@pytest.fixture
def shown(session, client, cast):
    """Puts a document behind a published API and gives what a reader gets below its address."""

    def shown(data: bytes | str | None, **fields):
        data = data.encode() if isinstance(data, str) else data
        digest = factories.openapi_document(session, data) if data is not None else None
        api = factories.api(session, team=cast.team, live=True, **{"slug": "pets", "openapi": digest} | fields)
        base = f"/catalogue/cast/{api.slug}/{api.version}"
        session.commit()
        return Reader(sign_in(client, cast.stranger), base)

    def again():
        """The next document is shown by the same name."""
        session.delete(session.query(Api).filter_by(slug="pets").one())
        session.commit()

    shown.again = again
    return shown


class Reader:
    def __init__(self, client, base):
        self.client = client
        self.base = base

    def __call__(self, below="", status=200, **how):
        answer = self.client.get(f"{self.base}{below}", **how)
        assert answer.status_code == status, f"{below}: {answer.text[:300]}"
        return answer.text


def document(paths=None, **more):
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}, "paths": paths or {}} | more)


def text_of(page):
    """What is read of the middle of a page."""
    main = page.split('<div class="docs-main">')[1].split('<footer class="page-foot">')[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


def ids_of(page):
    return re.findall(r'\sid="([^"]+)"', page)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_operation_of_a_real_document_has_its_page(shown, path):
    data = path.read_bytes()
    read = openapi.read(data)
    reader = shown(data)
    some = read.operations[:: max(1, len(read.operations) // SAMPLE)]

    pages = [reader(), reader("/operations"), *(reader(f"/operations/{it.id}") for it in some)]

    for page in pages:
        assert page.count("<h1") == 1
        ids = ids_of(page)
        assert [name for name, times in Counter(ids).items() if times > 1] == []
        assert set(re.findall(r'href="#([^"]+)"', page)) - set(ids) == set(), "links to places that are there"
        assert len(page) < 700_000
    for page, operation in zip(pages[2:], some, strict=True):
        assert html.escape(operation.path, quote=False) in html.unescape(page) or operation.path in html.unescape(page)


@pytest.mark.parametrize("path", SPECS[::4], ids=lambda path: path.name)
def test_every_link_to_a_schema_leads_there(shown, path):
    data = path.read_bytes()
    reader = shown(data)
    found = set()
    for operation in openapi.read(data).operations[:SAMPLE]:
        found |= set(
            re.findall(rf'href="{reader.base}(/(?:schemas|parts)/[^"]+)"', reader(f"/operations/{operation.id}"))
        )

    for link in sorted(found)[:15]:
        reader(html.unescape(link))


EVIL = "<script>alert(1)</script>"
EVERYWHERE = {
    "openapi": "3.1.0",
    "info": {
        "title": EVIL,
        "version": EVIL,
        "description": f"{EVIL} [x](javascript:alert(1))",
        "contact": {"name": EVIL, "url": "javascript:alert(1)", "email": EVIL},
        "license": {"name": EVIL, "url": "javascript:alert(1)"},
        "termsOfService": "javascript:alert(1)",
    },
    "tags": [{"name": EVIL, "description": EVIL}],
    "paths": {
        f"/{EVIL}/{{{EVIL}}}": {
            "post": {
                "operationId": "evil",
                "summary": EVIL,
                "description": EVIL,
                "tags": [EVIL],
                "externalDocs": {"url": "javascript:alert(1)", "description": EVIL},
                "security": [{EVIL: [EVIL]}],
                "parameters": [
                    {"name": EVIL, "in": "path", "required": True, "description": EVIL, "example": EVIL},
                    {"name": EVIL, "in": "query", "schema": {"type": EVIL, "format": EVIL, "enum": [EVIL, '"><b>']}},
                    {"name": EVIL, "in": "header", "required": True, "schema": {"default": EVIL, "pattern": EVIL}},
                ],
                "requestBody": {
                    "description": EVIL,
                    "content": {
                        EVIL: {
                            "schema": {"$ref": f"#/components/schemas/{EVIL.replace('/', '~1')}"},
                            "examples": {
                                EVIL: {"summary": EVIL, "description": EVIL, "value": EVIL},
                                "out": {"externalValue": "javascript:alert(1)"},
                            },
                        }
                    },
                },
                "responses": {
                    EVIL: {"description": EVIL},
                    "200": {
                        "description": EVIL,
                        "headers": {EVIL: {"description": EVIL, "schema": {"const": EVIL}}},
                        "content": {EVIL: {"schema": {"title": EVIL, "oneOf": [{"title": EVIL}, {"const": EVIL}]}}},
                        "links": {EVIL: {"operationId": EVIL, "description": EVIL, "parameters": {EVIL: EVIL}}},
                    },
                },
                "callbacks": {EVIL: {EVIL: {"post": {"summary": EVIL}}}},
            }
        }
    },
    "components": {
        "schemas": {
            EVIL: {
                "title": EVIL,
                "description": EVIL,
                "discriminator": {"propertyName": EVIL},
                "properties": {
                    EVIL: {"description": EVIL, "example": EVIL},
                    "self": {"$ref": "#/components/schemas/X"},
                },
            },
            "X": {"title": EVIL, "properties": {"x": {"$ref": "#/components/schemas/X"}}},
        },
        "securitySchemes": {EVIL: {"type": EVIL, "description": EVIL}},
    },
}


class TestWhatStrangersWrote:
    def test_runs_nowhere(self, shown):
        reader = shown(json.dumps(EVERYWHERE), name=EVIL, description=f"{EVIL} [x](javascript:alert(1))")

        page = reader()
        pages = [page, reader("/operations"), reader("/operations/evil"), reader("/operations?q=%3Cscript%3E")]
        pages.append(reader("/operations?tag=%3Cscript%3Ealert(1)%3C%2Fscript%3E"))
        pages += [reader(f"/schemas/{name}") for name in ("X", "%3Cscript%3Ealert(1)%3C~1script%3E")]

        for each in pages:
            assert EVIL not in each
            assert "<b>" not in each.replace("<body", "")
            assert not re.search(r"""(?:href|src)=["']?\s*javascript:""", each, re.IGNORECASE)
            assert [name for name, times in Counter(ids_of(each)).items() if times > 1] == []

    def test_of_odd_kinds_is_left_out(self, shown):
        odd = [None, 1, "text", [], ["x"], {}, {"x": 1}, True]
        paths = {}
        for n, value in enumerate(odd):
            paths[f"/a{n}"] = {
                "get": {
                    **dict.fromkeys(
                        ("summary", "description", "tags", "parameters", "requestBody", "callbacks"), value
                    ),
                    **dict.fromkeys(("security", "externalDocs", "deprecated"), value),
                    "responses": {"200": {"description": value, "headers": value, "content": value, "links": value}},
                },
                "post": {
                    "parameters": [
                        value,
                        {"name": value, "in": "query"},
                        {"name": "a", "in": "query", "schema": value},
                    ],
                    "requestBody": {
                        "content": {"application/json": value, "a/b": {"schema": value, "examples": value}}
                    },
                    "responses": value,
                },
            }
        data = document(paths, tags=odd, security=odd)
        reader = shown(data)

        for operation in openapi.read(data.encode()).operations:
            reader(f"/operations/{operation.id}")


class TestOneOperation:
    @pytest.fixture
    def page(self, shown):
        operation = {
            "operationId": "place",
            "summary": "Place an order",
            "description": "Takes *one* order.",
            "deprecated": True,
            "parameters": [
                {"name": "shop", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 8}},
                {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": 20}},
                {"name": "limit", "in": "header", "schema": {"enum": ["low", "high"]}},
                {"name": "X-API-Key", "in": "header", "required": True, "schema": {"type": "string"}},
                {
                    "name": "tags",
                    "in": "query",
                    "explode": False,
                    "schema": {"type": "array", "items": {"type": "string"}},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    media: {"schema": {"$ref": "#/components/schemas/Order"}}
                    for media in ("application/json", "application/x-www-form-urlencoded")
                },
            },
            "responses": {
                "201": {
                    "description": "Placed",
                    "headers": {"Location": {"schema": {"type": "string"}}},
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
                },
                "4XX": {"description": "Your fault"},
                "default": {"description": "Ours"},
            },
        }
        order = {
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
                "id": {"type": "integer", "readOnly": True},
            },
        }
        line = {"type": "object", "properties": {"name": {"type": "string", "example": "Pen"}}}
        reader = shown(
            document(
                {"/shops/{shop}/orders": {"post": operation}}, components={"schemas": {"Order": order, "Line": line}}
            ),
            path="/orders/v1",
        )
        return reader("/operations/place")

    def test_says_how_it_is_called(self, page):
        assert "http://localhost:8080/orders/v1/shops/{shop}/orders" in text_of(page)
        assert "Takes <em>one</em> order." in page
        assert "deprecated" in text_of(page)

    def test_every_part_can_be_linked_to(self, page):
        for anchor in (
            "parameter-shop",
            "parameter-limit",
            "parameter-limit~2",
            "request-body",
            "body.items.name",
            "response-201",
            "response-201.header-Location",
            "response-201.body.items.name",
            "response-4XX",
            "response-default",
        ):
            assert f'id="{anchor}"' in page
            assert f'href="#{anchor}"' in page

    def test_what_repeats_itself_under_any_name_is_linked_to(self, shown):
        many = {"title": "Many", "additionalProperties": {"$ref": "#/components/schemas/Box"}}
        box = {"type": "object", "properties": {"inside": many}}
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Box"}}}
        page = shown(
            document(
                {"/boxes": {"get": {"responses": {"200": {"content": content}}}}}, components={"schemas": {"Box": box}}
            )
        )("/operations/get-boxes")

        ids, targets = re.findall(r' id="([^"]+)"', page), re.findall(r'href="#([^"]+)"', page)
        assert set(targets) <= set(ids)
        assert len(ids) == len(set(ids))

    @pytest.mark.parametrize("odd", [{}, [], ["form"], None, 5], ids=repr)
    def test_parameters_with_odd_words_are_shown(self, shown, odd):
        parameter = {"name": "limit", "in": "query", "style": odd, "explode": odd, "required": odd, "schema": odd}
        header = {"in": odd, "style": odd, "schema": {"type": odd}}
        operation = {"parameters": [parameter], "responses": {"200": {"headers": {"X-Odd": header}}}}

        page = shown(document({"/pets": {"get": operation}}))("/operations/get-pets")

        assert 'id="parameter-limit"' in page
        assert "X-Odd" in page

    def test_an_example_of_a_megabyte_is_cut_everywhere(self, shown):
        media = {"application/json": {"schema": {"type": "string"}, "example": "x" * 300_000}}
        operation = {"requestBody": {"content": media}, "responses": {"200": {"content": media}}}

        page = shown(document({"/pets": {"post": operation}}))("/operations/post-pets")

        assert len(page) < 300_000
        assert "…" in page

    def test_first_call_is_one_that_needs_nothing(self, shown):
        get = {"parameters": [{"name": "q", "in": "query", "required": True, "schema": {"const": "a b"}}]}
        reader = shown(document({"/a/{id}": {"get": {}}, "/b": {"post": {}, "get": get}}), path="/orders/v1")

        assert "curl 'http://localhost:8080/orders/v1/b?q=a%20b'" in text_of(reader())

    def test_says_what_values_may_be(self, page):
        said = text_of(page)

        assert "at most 8 characters" in said
        assert "default 20" in said
        assert "Allowed: " in said
        assert "values separated by commas" in said
        assert "read-only" in said

    def test_key_of_the_gateway_is_no_parameter(self, page):
        assert "parameter-X-API-Key" not in page
        assert "X-API-Key: $PORTICO_KEY" in html.unescape(page)

    def test_is_written_in_three_languages(self, page):
        for words in ("curl --request POST", "import requests", "await fetch("):
            assert words in html.unescape(page)
        assert page.count('type="radio"') == 3

    def test_media_types_with_one_schema_are_told_together(self, page):
        assert page.count('id="body"') == 1
        assert "body~2" not in page


def every(reader, below, pattern):
    """What is found on a page and on those that "Next" or the like lead to, one after the other."""
    for _ in range(100):
        page = reader(below)
        assert len(page) < 1_500_000
        yield from re.findall(pattern, page)
        link = re.search(
            rf'<a [^>]*href="{reader.base}([^"]+)"[^>]*>(?:Next|[\d,]+ more (?:is|are) not shown here: (?:go|open))',
            page,
        )
        if link is None:
            return
        below = html.unescape(link[1])
    raise AssertionError("it does not end")


class TestOfMonsters:
    """A page shows some of what is too much for one, and leads to the rest."""

    MANY = 700

    def shown_operation(self, shown, **operation):
        return shown(document({"/a": {"get": {"operationId": "a", "responses": {}} | operation}}))

    def test_parameters(self, shown):
        parameters = [{"name": f"p{n}", "in": "query", "schema": {"type": "string"}} for n in range(self.MANY)]
        reader = self.shown_operation(shown, parameters=parameters)

        assert set(every(reader, "/operations/a", r'id="parameter-p(\d+)"')) == {str(n) for n in range(self.MANY)}
        assert "1 to 100 of 700" in reader("/operations/a")

    def test_answers_with_long_texts(self, shown):
        answers = {str(status): {"description": f"*{status}* " * 4_000} for status in range(200, 240)}
        reader = self.shown_operation(shown, responses=answers)

        assert set(every(reader, "/operations/a", r'id="response-(\d+)"')) == set(answers)

    @pytest.mark.parametrize(
        ("what", "found"),
        [
            ("headers", r'id="response-200.header-n(\d+)"'),
            ("links", r"<strong>n(\d+)"),
            ("content", r"<code>x/n(\d+)"),
        ],
    )
    def test_parts_of_an_answer(self, shown, what, found):
        name = "x/n{}" if what == "content" else "n{}"
        # Each says something else: media types that say the same are told together.
        parts = {name.format(n): {"schema": {"const": n}, "description": f"{n}"} for n in range(self.MANY)}
        reader = self.shown_operation(shown, responses={"200": {"description": "", what: parts}})

        assert set(every(reader, "/operations/a", found)) == {str(n) for n in range(self.MANY)}

    def test_callbacks_security_and_what_they_list(self, shown):
        called = {f"{{$url}}/{n}": {"post": {"responses": {}}} for n in range(self.MANY)}
        for operation, found in (
            ({"callbacks": {"all": called}}, r"POST {\$url}/(\d+)"),
            ({"callbacks": {f"c{n}": {} for n in range(self.MANY)}}, r"<strong>c(\d+)<"),
            ({"security": [{f"s{n}": []} for n in range(self.MANY)]}, r"<strong>s(\d+)<"),
            ({"security": [{"one": [f"scope{n}" for n in range(self.MANY)]}]}, r"<code>scope(\d+)<"),
        ):
            reader = self.shown_operation(shown, **operation)
            assert set(every(reader, "/operations/a", found)) == {str(n) for n in range(self.MANY)}
            shown.again()

    @pytest.mark.parametrize("start", ["-1", "x", "700", "99999999", "99999999999"])
    def test_odd_starts_are_taken_for_the_first(self, shown, start):
        parameters = [{"name": f"p{n}", "in": "query"} for n in range(self.MANY)]

        assert "1 to 100 of 700" in self.shown_operation(shown, parameters=parameters)(
            f"/operations/a?parameters={start}"
        )

    def test_schema_of_8000_parts(self, shown):
        parts = [
            {"type": "object", "properties": {f"p{n}": {"type": "string"}}, "required": [f"p{n}"]} for n in range(8_000)
        ]
        content = {"application/json": {"schema": {"allOf": parts}}}
        reader = self.shown_operation(shown, responses={"200": {"description": "", "content": content}})

        assert len(reader("/operations/a")) < 500_000

    def test_tags_with_long_texts(self, shown):
        tags = [{"name": f"t{n}", "description": f"*{n}* " * 9_000} for n in range(60)]
        paths = {f"/{n}": {"get": {"operationId": f"o{n}", "tags": [f"t{n}"], "responses": {}}} for n in range(60)}
        reader = shown(document(paths, tags=tags))

        page = reader()

        assert len(page) < 1_500_000
        assert page.count("Read what it is about") > 50
        assert "<em>59</em>" in reader("/operations?tag=t59")


class TestSchemas:
    CIRCLE = {
        "Node": {
            "properties": {
                "next": {"$ref": "#/components/schemas/Node"},
                "all": {"items": {"$ref": "#/components/schemas/Node"}},
            }
        }
    }

    def shown_schema(self, shown, schema, **schemas):
        response = {"200": {"description": "", "content": {"application/json": {"schema": schema}}}}
        return shown(
            document({"/a": {"get": {"operationId": "a", "responses": response}}}, components={"schemas": schemas})
        )

    def test_circle_leads_back_to_where_it_began(self, shown):
        reader = self.shown_schema(shown, {"$ref": "#/components/schemas/Node"}, **self.CIRCLE)

        page = reader("/operations/a")

        assert "Node begins again here." in text_of(page)
        assert 'href="#response-200.body"' in page

    def test_deep_schema_goes_on_where_its_name_has_a_page(self, shown):
        chain = {f"L{n}": {"properties": {"next": {"$ref": f"#/components/schemas/L{n + 1}"}}} for n in range(30)}
        reader = self.shown_schema(shown, {"$ref": "#/components/schemas/L0"}, **chain)

        link = re.search(rf'href="{reader.base}(/schemas/L\d+)"', reader("/operations/a"))

        assert link is not None
        assert "next" in text_of(reader(link[1]))

    def test_deep_schema_without_a_name_opens_more_levels(self, shown):
        schema = {"type": "string", "title": "bottom"}
        for _ in range(10):
            schema = {"type": "object", "properties": {"next": schema}}
        reader = self.shown_schema(shown, schema)

        page = reader("/operations/a")
        link = re.search(r'href="([^"]+\?depth=\d+)"', page)

        assert link is not None
        assert ".next" * 10 not in page
        assert ".next" * 8 in reader(link[1].removeprefix(reader.base))
        assert ".next" * 10 in reader("/operations/a?depth=20")

    @pytest.mark.parametrize("depth", ["-1", "x", "99999999999999999999", "0", ""])
    def test_odd_depths_are_taken_for_the_usual_or_nearest(self, shown, depth):
        self.shown_schema(shown, {"type": "string"})(f"/operations/a?depth={depth}")

    def test_wide_schema_is_cut_and_says_so(self, shown):
        wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(3_000)}}

        page = self.shown_schema(shown, wide)("/operations/a")

        assert "not shown here" in text_of(page)
        assert len(page) < 300_000

    def test_of_a_wide_schema_every_property_is_reached(self, shown):
        wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(450)}}
        for schema in (wide, {"$ref": "#/components/schemas/Wide"}, {"type": "array", "items": wide}):
            reader = self.shown_schema(shown, schema, Wide=wide)
            seen = set(every(reader, "/operations/a", r'class="tree-name">(p\d+)<'))
            shown.again()
            assert seen == set(wide["properties"])

    def test_list_has_all_by_name(self, shown):
        names = [f"S{n:03}" for n in range(150)] + ["a/b c", "Ünïcode"]
        schemas = {name: {"type": "object", "description": f"About {name}. And more."} for name in names}
        schemas["Kind"] = {"enum": ["cat", "dog"]}
        asked = {"$ref": "#/components/schemas/a~1b%20c"}
        reader = self.shown_schema(shown, asked, **schemas)

        assert f'href="{reader.base}/schemas"' in reader()
        first, second = reader("/schemas"), reader("/schemas?from=100")

        assert "1 to 100 of 153" in first
        assert "About S000." in first
        assert "And more" not in first
        found = re.findall(rf'href="{reader.base}(/schemas/[^"]+)"', first + second)
        assert len(set(found)) == 153
        for link in (found[0], *[it for it in found if "S" not in it]):
            reader(html.unescape(link))
        assert text_of(reader("/schemas?q=kind")).endswith("Kind string")
        assert "No schema fits" in reader("/schemas?q=nothing")

    def test_list_of_none_says_so(self, shown):
        reader = shown(document({"/a": {"get": {"operationId": "a", "responses": {}}}}))

        assert "No schemas have names" in reader("/schemas")
        assert "/schemas" not in reader()

    def test_unknown_schema_is_not_found(self, shown):
        reader = self.shown_schema(shown, {"type": "string"})

        for below in ("/schemas/Nobody", "/parts/paths/~1a/put", "/parts/%23anchor", "/parts/x", "/operations/nobody"):
            reader(below, 404)


class TestLists:
    def test_of_many_operations_a_page_shows_a_window(self, shown):
        paths = {
            f"/a{n}": {"get": {"operationId": f"op{n}", "tags": ["one" if n < 250 else "two"]}} for n in range(300)
        }
        reader = shown(document(paths))

        page = reader("/operations?tag=one")

        assert "1 to 100 of 250" in text_of(page)
        assert "op99" in page
        assert 'op100"' not in page
        assert "op200" in reader("/operations?tag=one&from=200")
        assert "op249" in reader("/operations?tag=one&from=999999"), "beyond the end is the last window"
        assert "op150" in reader("/operations/op120"), "neighbours stand in the contents"
        assert 'op50"' not in reader("/operations/op120")

    def test_search_asks_for_every_word(self, shown):
        reader = shown(
            document(
                {
                    "/pets": {"get": {"operationId": "list", "summary": "All pets"}, "post": {"operationId": "make"}},
                    "/dogs": {"get": {"operationId": "dogs", "summary": "All dogs"}},
                }
            )
        )

        assert "1 operation" in text_of(reader("/operations?q=ALL+get+pets"))
        assert "dogs" not in text_of(reader("/operations?q=ALL+get+pets"))
        assert "No operation fits" in reader("/operations?q=all+cats")
        part = reader("/operations?q=dogs", headers={"HX-Request": "true"})
        assert "<html" not in part
        assert "/operations/dogs" in part
        assert reader("/operations?q=", headers={"HX-Request": "true"}).strip() == ""

    def test_unknown_tag_is_not_found(self, shown):
        shown(document({"/a": {"get": {"tags": ["one"]}}}))("/operations?tag=two", 404)

    def test_operations_without_a_tag_stand_last(self, shown):
        page = shown(document({"/a": {"get": {}}, "/b": {"get": {"tags": ["one"]}}}))()

        assert text_of(page).index("one 1") < text_of(page).index("Other operations 1")


class TestWithoutMuch:
    def test_no_document(self, shown):
        reader = shown(None, path="/pets/v1", description="All *pets*.")

        page = reader()

        assert "http://localhost:8080/pets/v1" in page
        assert "<em>pets</em>" in page
        assert "This API has no OpenAPI document" in text_of(page)
        assert "Add an OpenAPI document" not in page
        reader("/operations")
        reader("/operations/any", 404)

    def test_owner_is_told_where_to_add_it(self, shown, cast):
        reader = shown(None)
        sign_in(reader.client, cast.publisher)

        assert "Add an OpenAPI document" in reader()

    def test_no_operations(self, shown):
        assert "names no operations" in text_of(shown(document())())

    def test_document_that_is_not_stored(self, shown, session):
        reader = shown(None)
        release = session.query(Api).filter_by(slug="pets", version="v1").one().live_release
        session.execute(update(Release).values(document=dict(release.document, openapi="0" * 64)))
        session.commit()

        assert "This API has no OpenAPI document" in text_of(reader())


class TestWhoSees:
    PAGES = ("", "/operations", "/operations/show", "/schemas", "/schemas/Pet", "/openapi.json", "/openapi.yaml")

    @pytest.fixture
    def hidden(self, shown, session):
        reader = shown(factories.OPENAPI)

        def hidden(**fields):
            api = session.query(Api).filter_by(slug="pets", version="v1").one()
            for name, value in fields.items():
                setattr(api, name, value)
            session.commit()
            return reader

        return hidden

    def test_private_api_does_not_exist_for_strangers(self, hidden, cast):
        reader = hidden(visibility=Visibility.TEAM)

        for page in self.PAGES:
            reader(page, 404)
        sign_in(reader.client, cast.developer)
        for page in self.PAGES:
            reader(page)

    def test_without_signing_in_the_installation_decides(self, hidden, app):
        reader = hidden(visibility=Visibility.PUBLIC)
        sign_in(reader.client, None)
        reader("", 303)

    def test_draft_is_seen_by_its_team(self, hidden, cast, session):
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        draft = dict(api.draft, name="Pets of tomorrow")
        reader = hidden(draft=draft)

        assert "Preview draft" not in reader()
        assert "tomorrow" not in reader()
        assert reader.client.get("/apis/cast/pets/v1/preview").status_code == 404
        sign_in(reader.client, cast.developer)
        assert "Preview draft" in reader()
        answer = reader.client.get("/apis/cast/pets/v1/preview")
        assert "Pets of tomorrow" in answer.text
        assert "This is the draft" in answer.text
        link = re.search(r'href="(/apis/cast/pets/v1/preview/operations/show)"', answer.text)
        assert link is not None
        assert reader.client.get(link[1]).status_code == 200

    def test_draft_is_exported_to_its_team(self, hidden, cast, session):
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        reader = hidden(draft=dict(api.draft, name="Pets of tomorrow", path="/tomorrow"))
        draft = "/apis/cast/pets/v1/preview"
        assert reader.client.get(f"{draft}/openapi.json").status_code == 404
        sign_in(reader.client, cast.developer)

        links = re.findall(rf'href="({draft}/openapi[^"]+)"', reader.client.get(draft).text)
        found = [reader.client.get(link) for link in links]

        assert [link.rpartition(".")[2] for link in links] == ["json", "yaml"]
        assert {yaml.safe_load(answer.text)["info"]["title"] for answer in found} == {"Pets of tomorrow"}
        assert {yaml.safe_load(answer.text)["servers"][0]["url"] for answer in found} == {
            "http://localhost:8080/tomorrow"
        }
        assert "draft.openapi.json" in found[0].headers["Content-Disposition"]
        assert json.loads(reader("/openapi.json"))["info"]["title"] == api.name

    def test_end_of_an_api_is_told(self, hidden, session, cast):
        successor = factories.api(session, team=cast.team, live=True, slug="pets", version="v2", name="Pets")
        session.flush()
        reader = hidden(
            deprecated_at=utcnow(),
            sunset_at=utcnow().replace(year=2031, month=3, day=4),
            successor=successor,
            deprecation_message="Moved to another house.",
            closed=True,
        )

        said = text_of(reader())

        assert ", and is to be retired on " in said
        assert "2031" in said
        assert "Use Pets v2 instead" in said
        assert "Moved to another house." in said
        assert "no new subscriptions" in said
        assert "Get a key" not in said
        assert f"{reader.base}/subscribe" not in reader()
        assert ">v2 " in reader(), "the other version is offered"
        successor.visibility = Visibility.TEAM
        session.commit()
        assert "Pets v2" not in reader()
        assert ">v2 " not in reader()

    def test_deprecation_may_be_ahead(self, hidden):
        said = text_of(hidden(deprecated_at=utcnow() + timedelta(days=400))())

        assert "will be deprecated on" in said
        assert "is deprecated" not in said

    def test_retired_and_paused(self, hidden):
        assert "was retired" in text_of(hidden(retired_at=utcnow())())
        assert "is paused" in text_of(hidden(retired_at=None, paused=True)())


class TestExport:
    @pytest.mark.parametrize("path", [None, *SPECS[::5]], ids=lambda path: path.name if path else "none")
    def test_is_what_validators_accept(self, shown, path):
        reader = shown(path.read_bytes() if path else None, path="/pets/v1", name="Mine", description="Words.")

        as_json = json.loads(reader("/openapi.json"))

        validate(as_json)
        assert as_json["info"]["title"] == "Mine"
        assert as_json["info"]["version"] == "v1"
        assert as_json["info"]["description"] == "Words."
        assert as_json["servers"] == [{"url": "http://localhost:8080/pets/v1"}]
        assert as_json["components"]["securitySchemes"]["gatewayKey"]["name"] == "X-API-Key"
        assert yaml.safe_load(reader("/openapi.yaml")) == as_json

    def test_is_not_sent_again_unless_it_changed(self, shown, session):
        reader = shown(factories.OPENAPI)
        first = reader.client.get(f"{reader.base}/openapi.json")
        same = {"If-None-Match": first.headers["ETag"]}

        assert reader("/openapi.json", 304, headers=same) == ""
        assert reader("/openapi.yaml", headers=same) != ""
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        api.deprecated_at = utcnow()
        session.commit()
        assert '"deprecated": true' in reader("/openapi.json", headers=same)


class TestLargeExport:
    @pytest.fixture
    def large(self, shown, monkeypatch):
        reader = shown(factories.OPENAPI, path="/pets/v1")
        monkeypatch.setattr(exports, "LARGE", {"json": 10, "yaml": 10})
        return reader

    def work(self, app):
        with app.app_context():
            return worker.turn(config_of(app), "test")

    def test_is_written_by_the_worker_and_kept(self, large, app):
        page = large("/openapi.yaml", 202)
        assert "the worker has not begun" in text_of_page(page)
        large("/openapi.yaml", 202)
        part = large("/openapi.yaml", 202, headers={"HX-Request": "true"})
        assert "<html" not in part
        assert "data-poll-done" not in part

        assert self.work(app)
        assert not self.work(app), "it is asked for once"

        whole = yaml.safe_load(large("/openapi.yaml"))
        assert whole["servers"] == [{"url": "http://localhost:8080/pets/v1"}]
        assert "Download document" in large("/openapi.yaml", 202, headers={"HX-Request": "true"})
        packed = large.client.get(f"{large.base}/openapi.yaml", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert yaml.safe_load(gzip.decompress(packed.data)) == whole

    def test_programs_are_told_to_ask_again(self, large):
        answer = large.client.get(f"{large.base}/openapi.json", headers={"Accept": "application/json"})

        assert answer.status_code == 202
        assert answer.headers["Retry-After"]
        assert answer.json["status"] == 202

    def test_what_was_kept_goes_when_the_api_says_something_else(self, large, app, session):
        large("/openapi.json", 202)
        self.work(app)
        session.rollback()
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        api.deprecated_at = utcnow()
        session.commit()

        large("/openapi.json", 202)
        self.work(app)

        assert '"deprecated": true' in large("/openapi.json")

    def test_of_a_draft_stands_beside_that_of_the_live_release(self, large, app, session, cast):
        large("/openapi.json", 202)
        self.work(app)
        session.rollback()
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        api.draft = dict(api.draft, name="Pets of tomorrow")
        session.commit()
        draft = "/apis/cast/pets/v1/preview/openapi.json"
        sign_in(large.client, cast.developer)

        assert large.client.get(draft).status_code == 202
        self.work(app)

        assert large.client.get(draft).json["info"]["title"] == "Pets of tomorrow"
        assert json.loads(large("/openapi.json"))["info"]["title"] == api.name

    def test_work_that_came_too_late_writes_nothing(self, large, app, session):
        large("/openapi.json", 202)
        session.rollback()
        api = session.query(Api).filter_by(slug="pets", version="v1").one()
        api.deprecated_at = utcnow()
        session.commit()

        self.work(app)

        session.rollback()
        assert session.query(OpenAPIExport).count() == 0

    def test_work_that_was_given_up_is_told(self, large, session):
        large("/openapi.json", 202)
        session.rollback()
        job = session.query(jobs.Job).filter_by(kind=exports.KIND).one()
        job.failed_at = utcnow()
        session.commit()

        assert "could not be written" in large("/openapi.json", 202)


def text_of_page(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


class TestDescriptionInMemory:
    def test_has_the_same_pages(self, app):
        about = docs.About(
            name="The REST API",
            version="v1",
            base="/api/docs",
            addresses=("http://127.0.0.1:8000/api/v1",),
            key=openapi.KeyScheme("bearer", "Authorization"),
            credential="token",
            variable="PORTICO_TOKEN",
            first_path="/me",
        )
        source = docs.Described(about, openapi.read(factories.OPENAPI))

        with app.test_request_context("/api/docs"):
            app.preprocess_request()
            overview = docs.show_overview(source)
            page = docs.show_operation(source, "show")
            listed = docs.show_operations(source)
            schema = docs.show_schema(source, docs.pointer_of(schema="Pet"))

        assert "/api/docs/operations/show" in overview
        assert "/api/docs/operations/show" in listed
        assert "$PORTICO_TOKEN" in html.unescape(page)
        assert "PORTICO_KEY" not in page + overview
        assert "Every call carries a token as a bearer token" in overview
        assert "http://127.0.0.1:8000/api/v1/me" in overview
        for each in (overview, page):
            assert "gateway" not in text_of(each)
            assert "API key" not in text_of(each)
        assert "integer" in schema
