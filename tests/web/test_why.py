"""“Why was this refused?”: the id of a call goes in, plain words come out, for those whose call it is."""

from datetime import timedelta

import pytest

from portal import registry
from portal.db import utcnow
from portal.registry.keys import Restrictions
from tests import factories
from tests.conftest import sign_in
from tests.traffic.lines import refused
from tests.web import logged


@pytest.fixture
def house(session, cast):
    """An API of another team, which a consumer of the cast calls with a key that has expired."""
    team = factories.team(session, slug="payments", name="Payments")
    api = factories.api(session, team=team, live=True, slug="orders", name="Orders")
    consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
    key, _ = factories.key(session, consumer, label="laptop", restrictions=Restrictions(addresses=("10.0.0.0/8",)))
    key.expires_at = utcnow() - timedelta(days=2)
    session.commit()
    return team, api, consumer, key


def call(engine, tmp_path, house, **fields) -> str:
    _, api, consumer, key = house
    line = logged.line(api, consumer, key, **refused() | fields)
    logged.store(engine, tmp_path, line)
    return logged.id_of(line)


def owner(team):
    return team.memberships[0].person


class TestWhy:
    def test_the_consumers_team_reads_which_key_it_was_and_since_when(self, client, cast, engine, tmp_path, house):
        request_id = call(engine, tmp_path, house, st=401, rs="key_expired")
        key = house[3]

        page = sign_in(client, cast.developer).get(f"/why?id={request_id}").text

        expired = f"{key.expires_at.day} {key.expires_at:%B %Y} at {key.expires_at:%H:%M} UTC"
        assert f"It was pco_{key.public_id}_… “laptop” of Web shop, and expired on {expired}." in page
        assert f"/calls/{request_id}" in page
        assert "expired on" in client.get(f"/calls/{request_id}").text

    def test_the_apis_team_reads_nothing_of_another_teams_key_or_address(self, client, engine, tmp_path, house):
        seen = []
        for reason, status in (("key_expired", 401), ("address_not_allowed", 403)):
            request_id = call(engine, tmp_path, house, st=status, rs=reason, ip="198.51.100.99")
            answer = sign_in(client, owner(house[0])).get(f"/why?id={request_id}")
            assert answer.status_code == 200
            seen.append(answer.text)

        assert "The key has expired." in seen[0]
        for secret in (house[3].public_id, "laptop", "198.51.100.99", "10.0.0.0/8"):
            assert not any(secret in page for page in seen)

    def test_nobody_else_is_told_that_there_is_one(self, client, cast, engine, tmp_path, house):
        request_id = call(engine, tmp_path, house, st=401, rs="key_expired")
        none = logged.id_of(logged.line())

        answers = [sign_in(client, cast.stranger).get(f"/why?id={each}") for each in (request_id, none)]

        assert [each.status_code for each in answers] == [404, 404]
        assert all("There is no such call that you may see." in each.text for each in answers)
        assert sign_in(client, cast.administrator).get(f"/why?id={request_id}").status_code == 200

    def test_an_ended_subscription_is_named_with_its_end(self, client, session, cast, engine, tmp_path, house):
        use = factories.subscription(session, house[2], house[1])
        registry.end_subscription(session, use)
        use.starts_at, use.ends_at = utcnow() - timedelta(days=60), utcnow() - timedelta(days=30)
        session.commit()
        request_id = call(engine, tmp_path, house, st=403, rs="not_subscribed")

        page = sign_in(client, cast.developer).get(f"/why?id={request_id}").text

        assert f"Web shop&#39;s subscription to Orders v1 ended on {use.ends_at.day} {use.ends_at:%B %Y}" in page

    def test_a_timeout_says_how_long_the_api_waits(self, client, cast, engine, tmp_path, house):
        request_id = call(
            engine, tmp_path, house, st=504, f="UT", d="response_timeout", up="10.1.2.3:8080", du=30_000_000
        )

        page = sign_in(client, cast.developer).get(f"/why?id={request_id}").text

        assert "the gateway answered 504 after 30.0 s. The API waits 30 s for the first byte." in page

    @pytest.mark.parametrize("typed", ["{}", "  {} ", "X-Request-Id: {}", '"request_id": "{}",', "x-request-id:{}"])
    def test_a_whole_line_may_be_pasted(self, client, cast, engine, tmp_path, house, typed):
        request_id = call(engine, tmp_path, house, st=401, rs="key_expired")

        answer = sign_in(client, cast.developer).get("/why", query_string={"id": typed.format(request_id)})

        assert "The key has expired." in answer.text

    def test_what_is_no_id_is_kept_and_explained(self, client, cast):
        answer = sign_in(client, cast.developer).get("/why?id=<b>no")

        assert answer.status_code == 422
        assert "This is no request id." in answer.text
        assert 'value="&lt;b&gt;no"' in answer.text
