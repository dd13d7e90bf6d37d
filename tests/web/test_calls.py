"""The list of calls and one call, as the person may see them."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.traffic.models import Call, instant
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


@pytest.fixture
def own(session, cast):
    row = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders")
    session.commit()
    return row


@pytest.fixture
def depot(session, own):
    """Another team's consumer that uses the API, with a key."""
    row = factories.consumer(session, slug="depot", name="Depot")
    factories.subscription(session, row, own)
    row.key, _ = factories.key(session, row)
    session.commit()
    return row


def listed(client, person, query=""):
    answer = sign_in(client, person).get(f"/calls{query}")
    assert answer.status_code == 200, answer.text
    return re.findall(r'id="call-([0-9a-f-]+)"', answer.text)


class TestList:
    def test_shows_own_calls_the_newest_first(self, client, session, cast, own, engine, tmp_path):
        foreign = factories.api(session, live=True)
        session.commit()
        old, new = logged.line(own, ago=timedelta(minutes=9)), logged.line(own)
        noise = logged.line(foreign)
        logged.store(engine, tmp_path, old, new, noise)

        assert listed(client, cast.publisher) == [logged.id_of(new), logged.id_of(old)]
        assert listed(client, cast.developer) == []
        assert len(listed(client, cast.administrator)) == 3

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("status=4xx", ["missing"]),
            ("status=404", ["missing"]),
            ("status=429", ["limited"]),
            ("reason=rate_limited", ["limited"]),
            ("method=post", ["posted"]),
            ("path=/orders/v1/slow", ["slow"]),
            ("min_ms=1000", ["slow"]),
            ("key={key}", ["limited"]),
            ("key=pco_{key}_", ["limited"]),
            ("consumer={team}/depot", ["limited"]),
            ("status=5xx", []),
        ],
    )
    def test_is_narrowed_by_every_filter(self, client, cast, own, depot, engine, tmp_path, query, found):
        made = {
            "missing": logged.line(own, st=404),
            "limited": logged.line(own, depot, depot.key, st=429, rs="rate_limited", **logged.REFUSED),
            "posted": logged.line(own, m="POST"),
            "slow": logged.line(own, p="/orders/v1/slow/1", du=1_500_000),
        }
        logged.store(engine, tmp_path, *made.values())
        asked = query.format(key=depot.key.public_id[:8], team=depot.team.slug)

        assert listed(client, cast.administrator, f"?{asked}") == [logged.id_of(made[name]) for name in found]

    def test_is_narrowed_by_time_in_utc(self, client, session, cast, own, engine, tmp_path):
        line = logged.line(own)
        logged.store(engine, tmp_path, line)
        session.rollback()
        minute = instant(session.scalars(select(Call.at)).one()).replace(second=0, microsecond=0)
        after = minute + timedelta(minutes=1)

        assert listed(client, cast.owner, f"?from={minute:%Y-%m-%dT%H:%M}&to={after:%Y-%m-%dT%H:%M}")
        assert not listed(client, cast.owner, f"?from={after:%Y-%m-%dT%H:%M}")

    def test_steps_through_pages_and_back(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, *(logged.line(own, ago=timedelta(seconds=300 - n)) for n in range(60)))
        first = listed(client, cast.owner)
        older = re.search(r'rel="next" href="/calls(\?[^"]+)"', client.get("/calls").text)[1]

        second = listed(client, cast.owner, older)
        newer = re.search(r'rel="prev" href="/calls(\?[^"]+)"', client.get(f"/calls{older}").text)[1]

        assert (len(first), len(second)) == (50, 10)
        assert not set(first) & set(second)
        assert listed(client, cast.owner, newer) == first

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("status=weird", "weird is no status."),
            ("status=9999", "9999 is no status."),
            ("min_ms=fast", "fast is no duration."),
            ("from=yesterday", "yesterday is no time."),
            ("to=0001-01-01T00:00%2B14:00", "is no time."),
            ("reason=because", "because is no reason word."),
            ("api=a/b/c", "There is no API a/b/c"),
            ("consumer=a/b", "There is no consumer a/b"),
            ("key=x", "at least four"),
            ("key=zzzz", "None of the keys that you may see"),
            ("from=2026-01-02T00:00&to=2026-01-01T00:00", "The time ends before it begins."),
        ],
    )
    def test_tells_what_it_does_not_understand(self, client, cast, own, query, sentence):
        answer = sign_in(client, cast.owner).get(f"/calls?{query}")

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "Nothing was searched" in answer.text

    def test_says_how_far_back_a_filter_searches(self, client, cast, own):
        sign_in(client, cast.owner)

        assert "24 hours at a time" in client.get("/calls?method=PUT").text
        assert "24 hours at a time" not in client.get(f"/calls?method=PUT&api={cast.team.slug}/orders/v1").text

    def test_is_explained_when_empty(self, client, cast, own, engine, tmp_path):
        assert "No calls yet" in sign_in(client, cast.owner).get("/calls").text
        logged.store(engine, tmp_path, logged.line(own))
        assert "No call matches" in client.get("/calls?status=5xx").text

    def test_finds_no_call_by_a_key_of_another_team(self, client, cast, own, depot, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own, depot, depot.key))

        answer = sign_in(client, cast.publisher).get(f"/calls?key={depot.key.public_id[:8]}")

        assert "None of the keys that you may see" in answer.text

    def test_follows_new_calls_by_refreshing_its_rows(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own))

        page = sign_in(client, cast.owner).get("/calls?follow=1&status=2xx").text
        address = re.search(r'hx-get="([^"]+)"', page)[1].replace("&amp;", "&")
        rows = client.get(address, headers={"HX-Request": "true"}).text

        assert "<html" not in rows
        assert rows.count('id="call-') == 1


def test_the_address_is_without_the_form_s_empty_fields(client, cast):
    answer = sign_in(client, cast.owner).get("/calls?status=5xx&reason=&api=&from=&endpoint=x&_external=1")
    assert answer.headers["Location"] == "/calls?status=5xx"


class TestOneField:
    """What is pasted into the search field leads to where it belongs."""

    def test_request_id_opens_the_call(self, client, cast, own, engine, tmp_path):
        line = logged.line(own)
        logged.store(engine, tmp_path, line)

        answer = sign_in(client, cast.owner).get(f"/calls?q= {logged.id_of(line).upper()} ", follow_redirects=True)

        assert answer.request.path == f"/calls/{logged.id_of(line)}"
        assert answer.status_code == 200

    def test_key_lists_its_calls_without_its_secret(self, client, session, cast, own):
        _, token = factories.key(session, factories.consumer(session, team=cast.team))
        session.commit()

        answer = sign_in(client, cast.owner).get("/calls", query_string={"q": token.value})

        assert answer.headers["Location"] == f"/calls?key=pco_{token.public_id}"

    def test_anything_else_is_a_path_and_keeps_the_filters(self, client, cast, own):
        answer = sign_in(client, cast.owner).get("/calls?q=orders/v1&status=5xx", follow_redirects=True)

        assert "Path: <strong>orders/v1</strong>" in answer.text
        assert "Status: <strong>5xx</strong>" in answer.text


class TestOneCall:
    def test_says_why_it_was_answered_so(self, client, cast, own, depot, engine, tmp_path):
        line = logged.line(own, st=503, f="UF", d="upstream_reset_before_response_started{connection_failure}", us=None)
        logged.store(engine, tmp_path, line)

        page = sign_in(client, cast.publisher).get(f"/calls/{logged.id_of(line)}").text

        assert "upstream_unreachable" in page
        assert "No connection to the upstream could be made." in page
        assert "reason=upstream_unreachable" in page
        assert "Orders v1" in page

    def test_splits_its_time(self, client, cast, own, engine, tmp_path):
        line = logged.line(own, du=100_000, us=90_000)
        logged.store(engine, tmp_path, line)

        page = sign_in(client, cast.owner).get(f"/calls/{logged.id_of(line)}").text

        assert 'x="90.0%" width="10.0%"' in page

    def test_of_another_team_hides_who_it_was(self, client, cast, own, depot, engine, tmp_path):
        line = logged.line(own, depot, depot.key, ip="203.0.113.9", ua="spy/1.0")
        logged.store(engine, tmp_path, line)
        secrets = (depot.key.public_id, "203.0.113.9", "spy/1.0")
        address = f"/calls/{logged.id_of(line)}"

        masked = sign_in(client, cast.publisher).get(address).text
        whole = sign_in(client, depot.team.memberships[0].person).get(address).text

        assert "Depot" in masked
        assert not [secret for secret in secrets if secret in masked]
        assert all(secret in whole for secret in secrets)

    def test_that_is_not_there_says_why_that_may_be(self, client, cast, own, depot, engine, tmp_path):
        foreign = logged.line(None, depot)
        logged.store(engine, tmp_path, foreign)
        sign_in(client, cast.owner)

        for address in (
            "/calls/nonsense",
            "/calls/01a1f758-aa6f-787e-a04d-2d5c649ba215",
            f"/calls/{logged.id_of(foreign)}",
        ):
            answer = client.get(address)
            assert answer.status_code == 404
            assert "it is not stored yet" in answer.text
            assert "older than 30 days" in answer.text

    def test_outlives_what_it_tells_about(self, client, session, cast, own, depot, engine, tmp_path):
        line = logged.line(own, depot, depot.key)
        logged.store(engine, tmp_path, line)
        session.rollback()
        registry.delete_consumer(session, depot)
        registry.delete_api(session, own)
        session.commit()

        page = sign_in(client, cast.administrator).get(f"/calls/{logged.id_of(line)}").text

        assert "Deleted API" in page
        assert "Deleted consumer" in page
        assert "deleted since" in page
