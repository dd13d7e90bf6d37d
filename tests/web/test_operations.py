"""Operations on the pages of traffic and calls."""

from datetime import timedelta

import orjson
import pytest

from portal import openapi, registry
from portal.registry import descriptions
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


def openapi_of(*operations: tuple[str, str, str]) -> bytes:
    paths: dict = {}
    for method, path, name in operations:
        paths.setdefault(path, {})[method.lower()] = {
            "operationId": name,
            "summary": f"Summary of {name}",
            "responses": {},
        }
    return orjson.dumps({"openapi": "3.1.0", "info": {"title": "Orders", "version": "1"}, "paths": paths})


THINGS = openapi_of(
    ("GET", "/things", "listThings"), ("GET", "/things/{id}", "getThing"), ("POST", "/things", "makeThing")
)


def publish(session, api, data: bytes) -> None:
    session.rollback()  # ingest has written meanwhile
    kept = descriptions.keep(session, data, openapi.read(data))
    document = registry.read_document(api.draft | {"openapi": kept.sha256})
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)
    registry.publish(session, api, by=None, expected=api.draft_number)


@pytest.fixture
def api(session, cast):
    data = descriptions.keep(session, THINGS, openapi.read(THINGS))
    row = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders", openapi=data.sha256)
    session.commit()
    return row


@pytest.fixture
def depot(session, cast, api):
    row = factories.consumer(session, slug="depot", name="Depot")
    factories.subscription(session, row, api)
    session.commit()
    return row


@pytest.fixture
def stored(engine, tmp_path, api, depot):
    """Twice getThing, once refused; once makeThing; once nothing that is described; and noise of another API."""
    calls = [
        logged.line(api, depot, **to(api, "/things/5")),
        logged.line(api, **to(api, "/things/6"), st=404),
        logged.line(api, **to(api, "/things"), m="POST"),
        logged.line(api, depot, **to(api, "/nothing"), st=404),
        logged.line(None),
    ]
    logged.store(engine, tmp_path, *calls)
    return calls


def to(api, path: str, release: int = 1) -> dict[str, str]:
    mount = f"/{api.slug}/{api.version}"
    return {"r": f"{api.id}|{release}|h|0|{mount}|x-api-key", "p": f"{mount}{path}"}


def look(client, person, address):
    return sign_in(client, person).get(address)


def table(page: str, id_: str) -> str:
    return page.partition(f'id="{id_}"')[2].partition("</section>")[0]


class TestByOperation:
    def test_ranks_them_with_what_none_describes(self, client, cast, api, stored):
        page = look(client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h").text
        rows = table(page, "operations").partition("<tbody>")[2].split("<tr>")[1:]

        assert ["getThing" in row for row in rows] == [True, False, False]
        assert "/things/{id}" in rows[0]
        assert "50\u202f%" in rows[0]
        assert f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h&amp;operation=getThing" in rows[0]
        assert f"api={cast.team.slug}/orders/v1&amp;operation=getThing" in rows[0]
        assert sum("Calls that no operation describes" in row for row in rows) == 1
        assert "listThings" not in page

    def test_is_left_out_where_nothing_was_ever_described(self, client, session, cast, engine, tmp_path):
        plain = factories.api(session, team=cast.team, live=True, slug="plain")
        session.commit()
        logged.store(engine, tmp_path, logged.line(plain))

        assert 'id="operations"' not in look(client, cast.publisher, f"/apis/{cast.team.slug}/plain/v1/traffic").text

    def test_shows_the_first_and_all_when_asked(self, client, session, cast, api, engine, tmp_path):
        publish(session, api, openapi_of(*(("GET", f"/things/{n}", f"get{n:03}") for n in range(20))))
        session.commit()
        logged.store(engine, tmp_path, *(logged.line(api, **to(api, f"/things/{n}", 2)) for n in range(20)))
        address = f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h"

        few = table(look(client, cast.publisher, address).text, "operations")
        every = table(client.get(f"{address}&operations=all").text, "operations")

        assert (few.count("<tr>"), every.count("<tr>")) == (16, 21)
        assert "Show more of 20" in few
        assert "Show more" not in every

    def test_operation_of_an_older_release_keeps_its_path(self, client, session, cast, api, stored):
        publish(session, api, openapi_of(("GET", "/parts", "listParts")))
        session.commit()

        rows = table(
            look(client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h").text, "operations"
        )

        assert "/things/{id}" in rows
        assert rows.count("not in the live release") == 2

    def test_is_not_told_of_other_pages(self, client, cast, api, stored):
        assert 'id="operations"' not in look(client, cast.publisher, f"/traffic?api={api.label}&window=1h").text


class TestOfOneOperation:
    def test_counts_its_calls_and_names_its_callers(self, client, cast, api, stored):
        page = look(
            client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h&operation=getThing"
        ).text

        assert 'title="2"' in page
        assert "Summary of getThing" in page
        assert 'id="operations"' not in page
        assert 'id="consumers"' not in page
        assert "Depot" in table(page, "callers")
        assert f"/apis/{cast.team.slug}/orders/v1/traffic?operation=getThing&amp;window=7d" in page
        assert "Remove filter Operation: getThing" in page

    def test_callers_are_known_for_longer_than_the_window(self, client, cast, api, depot, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(api, depot, **to(api, "/things/5"), ago=timedelta(days=9)))

        page = look(
            client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h&operation=getThing"
        ).text

        assert "No calls in this time" in page
        assert "Depot" in table(page, "callers")
        assert "9 days ago" in table(page, "callers")

    def test_what_none_describes(self, client, cast, api, stored):
        page = look(client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h&operation=-").text

        assert 'title="1"' in page
        assert "Calls that no operation describes" in page

    @pytest.mark.parametrize("name", ["gone", "a" * 200, "🐌", "'\"<b>"])
    def test_unknown_one_has_no_calls(self, client, cast, api, stored, name):
        answer = look(client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic?operation={name}")

        assert answer.status_code == 200
        assert "The live release has no operation with this id." in answer.text
        assert "No calls in this time" in answer.text

    def test_is_for_publishers(self, client, cast, api, stored):
        address = f"/apis/{cast.team.slug}/orders/v1/traffic?operation=getThing"

        assert look(client, cast.developer, address).status_code == 403
        assert look(client, cast.stranger, address).status_code == 404


class TestCalls:
    def test_list_of_one_api_has_a_column_and_a_filter(self, client, cast, api, stored):
        all_of_api = look(client, cast.publisher, f"/calls?api={api.label}").text
        narrowed = client.get(f"/calls?api={api.label}&operation=getThing").text
        undescribed = client.get(f"/calls?api={api.label}&operation=-").text

        assert '<th scope="col">Operation</th>' in all_of_api
        assert all_of_api.count(">getThing</span>") == 2
        assert narrowed.count('<tr id="call-') == 2
        assert 'value="getThing"' in narrowed
        assert undescribed.count('<tr id="call-') == 1
        assert "Operation: <strong>none</strong>" in undescribed

    def test_list_of_all_has_no_column_and_searches_a_day(self, client, cast, api, stored):
        assert '<th scope="col">Operation</th>' not in look(client, cast.publisher, "/calls").text
        found = client.get("/calls?operation=getThing").text
        assert found.count('<tr id="call-') == 2
        assert "These filters search 24 hours at a time." in found

    def test_name_that_is_too_long_is_told(self, client, cast, api):
        answer = look(client, cast.publisher, f"/calls?operation={'a' * 64}")

        assert answer.status_code == 422
        assert "The id of an operation has at most 63 characters." in answer.text

    def test_call_names_its_operation_and_those_like_it(self, client, cast, api, stored):
        page = look(client, cast.publisher, f"/calls/{logged.id_of(stored[0])}").text

        assert "<code>getThing</code>" in page
        assert "/things/{id}" in page
        assert f"/calls?operation=getThing&amp;api={api.label}" in page

    def test_call_that_nothing_describes_says_so(self, client, cast, api, stored):
        undescribed = look(client, cast.publisher, f"/calls/{logged.id_of(stored[3])}").text
        described = client.get(f"/calls/{logged.id_of(stored[1])}").text

        assert "has no operation for GET and this path" in undescribed
        assert "has no operation for" not in described

    def test_call_of_an_api_that_is_deleted_keeps_the_name(self, client, session, cast, api, stored):
        session.rollback()
        registry.delete_api(session, api)
        session.commit()

        assert "<code>getThing</code>" in look(client, cast.administrator, f"/calls/{logged.id_of(stored[0])}").text
