"""Charts of everything one may see, of one API, of one consumer."""

from datetime import timedelta

import pytest

from portal import registry
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


@pytest.fixture
def api(session, cast):
    row = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders")
    session.commit()
    return row


@pytest.fixture
def consumer(session, cast, api):
    """Another team's, subscribed to the API."""
    row = factories.consumer(session, slug="depot", name="Depot")
    factories.subscription(session, row, api)
    session.commit()
    return row


def look(client, person, address):
    return sign_in(client, person).get(address)


class TestOfAnAPI:
    def test_is_for_its_publishers(self, client, cast, api):
        address = f"/apis/{cast.team.slug}/orders/v1/traffic"

        assert look(client, cast.publisher, address).status_code == 200
        assert look(client, cast.developer, address).status_code == 403
        assert look(client, cast.stranger, address).status_code == 404

    def test_counts_no_other_api(self, client, session, cast, api, engine, tmp_path):
        other = factories.api(session, team=cast.team, live=True, name="Noise")
        session.commit()
        logged.store(engine, tmp_path, logged.line(api), logged.line(other), logged.line(other))

        page = look(client, cast.owner, f"/apis/{cast.team.slug}/orders/v1/traffic").text

        assert 'title="1"' in page
        assert "Noise" not in page

    def test_names_consumers_of_other_teams_without_a_way_into_them(
        self, client, cast, api, consumer, engine, tmp_path
    ):
        logged.store(engine, tmp_path, logged.line(api, consumer))

        page = look(client, cast.publisher, f"/apis/{cast.team.slug}/orders/v1/traffic").text

        assert "Depot" in page
        assert f"/consumers/{consumer.team.slug}" not in page

    def test_says_why_calls_failed(self, client, cast, api, engine, tmp_path):
        logged.store(
            engine,
            tmp_path,
            logged.line(api),
            logged.line(api, st=401, rs="key_expired", **logged.REFUSED),
        )

        page = look(client, cast.owner, f"/apis/{cast.team.slug}/orders/v1/traffic").text

        assert "The key has expired." in page
        assert "reason=key_expired" in page
        assert "<code>ok</code>" not in page

    def test_marks_releases_on_the_time_axis(self, client, cast, api, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(api))
        assert "release 1" in look(client, cast.owner, f"/apis/{cast.team.slug}/orders/v1/traffic?window=1h").text


class TestOfAConsumer:
    def test_is_for_its_team(self, client, session, cast, consumer):
        owner = consumer.team.memberships[0].person
        address = f"/consumers/{consumer.team.slug}/depot/traffic"

        assert look(client, owner, address).status_code == 200
        assert look(client, cast.owner, address).status_code == 404

    def test_names_the_apis_that_it_calls(self, client, cast, api, consumer, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(api, consumer))
        owner = consumer.team.memberships[0].person

        page = look(client, owner, f"/consumers/{consumer.team.slug}/depot/traffic").text

        assert "Orders v1" in page
        assert f"/apis/{cast.team.slug}/orders/v1/traffic" not in page


class TestOfEverything:
    def test_is_narrowed_by_the_query_string(self, client, session, cast, api, consumer, engine, tmp_path):
        other = factories.api(session, team=cast.team, live=True, slug="stock", name="Stock")
        session.commit()
        logged.store(engine, tmp_path, logged.line(api, consumer), logged.line(other, consumer))

        page = look(client, cast.owner, f"/traffic?api={cast.team.slug}/orders/v1").text

        assert 'title="1"' in page
        assert "Remove filter API" in page
        assert 'id="apis-title"' not in page

    @pytest.mark.parametrize("asked", ["nobody/nothing/v1", "{foreign}"])
    def test_does_not_tell_a_foreign_api_from_none(self, client, session, cast, asked):
        foreign = factories.api(session, live=True)
        session.commit()
        label = asked.format(foreign=foreign.label)

        answer = look(client, cast.owner, f"/traffic?api={label}")

        assert answer.status_code == 404
        assert f"There is no API {label}" in answer.text

    def test_an_api_that_is_deleted_keeps_its_numbers(self, client, session, cast, api, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(api))
        session.rollback()
        number = api.id
        registry.delete_api(session, api)
        session.commit()

        assert f"Deleted API {number}" in look(client, cast.administrator, "/traffic").text

    def test_unknown_is_not_zero(self, client, cast, api, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(api, ago=timedelta(minutes=3)))

        page = look(client, cast.owner, "/traffic?window=1h").text

        share_of_errors = page.partition('id="errors-data"')[2].partition("</script>")[0]
        assert "null" in share_of_errors
        assert "0.0" in share_of_errors

    def test_refreshes_only_its_figures(self, client, cast, api):
        sign_in(client, cast.owner)
        assert "<html" not in client.get("/traffic", headers={"HX-Request": "true"}).text

    def test_keeps_its_filter_in_another_window_and_nothing_else_of_the_address(self, client, cast, api):
        page = look(
            client, cast.owner, f"/traffic?api={cast.team.slug}/orders/v1&endpoint=x&_scheme=ftp&window=7d"
        ).text
        assert f'href="/traffic?api={cast.team.slug}/orders/v1&amp;window=30d"' in page
        assert client.get("/traffic?api=&consumer=&endpoint=x&window=1h").headers["Location"] == "/traffic?window=1h"
