"""The sample: what it makes, that it works through the registry, and that nothing of it stays."""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import func, select

from portal import accounts, registry, sample
from portal.accounts import Membership, Team
from portal.registry.keys import new_token
from portal.registry.models import Api, Consumer, Key, Mount, Plan, Release, Subscription
from portal.sample import Sample
from tests import factories

UPSTREAM = "http://127.0.0.1:18123"


@pytest.fixture
def administrator(session):
    person = factories.person(session, is_administrator=True)
    other = factories.api(session)  # noise: somebody's own API, plan and consumer
    factories.plan(session, team=other.team)
    factories.consumer(session)
    session.commit()
    return person


def counts(session) -> dict[str, int]:
    tables = (Team, Membership, Api, Release, Mount, Plan, Consumer, Subscription, Key, Sample)
    return {table.__name__: session.scalar(select(func.count()).select_from(table)) for table in tables}


class TestCreate:
    def test_it_is_published_under_a_path_and_a_host_with_a_key_that_works(self, session, administrator):
        token = sample.create(session, UPSTREAM, administrator)
        session.commit()

        api = session.scalars(select(Api).where(Api.slug == "httpbin")).one()
        mounts = {(m.host, m.path) for m in session.scalars(select(Mount).where(Mount.api_id == api.id))}
        key = session.scalars(select(Key).where(Key.public_id == token.public_id)).one()
        assert mounts == {("*", "/httpbin"), ("httpbin.localhost", "/")}
        assert api.state == "published"
        assert [s.plan.name for s in registry.subscribers(session, api)] == ["Sample"]
        assert key.sha256 == token.sha256
        assert key.consumer.subscriptions[0].api is api
        assert sample.port(session) == 18123
        assert accounts.standing(administrator, api.team).may(accounts.Permission.MANAGE_APIS)


class TestRemove:
    def test_nothing_of_it_stays_and_nothing_else_goes(self, session, administrator):
        before = counts(session)
        sample.create(session, UPSTREAM, administrator)
        session.commit()
        assert counts(session) != before

        assert sample.remove(session)
        session.commit()

        assert counts(session) == before
        assert not sample.exists(session)

    def test_a_second_time_there_is_nothing_to_do(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        session.commit()
        sample.remove(session)
        session.commit()

        assert not sample.remove(session)

    def test_a_plan_that_somebody_put_to_use_stays_with_its_team(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        plan = session.scalars(select(Plan).where(Plan.slug == "sample")).one()
        own = registry.create_api(
            session, plan.team, slug="own", version="v1", document=factories.document(), by=administrator
        )
        session.flush()
        registry.offer_plans(session, own, [plan])
        session.commit()

        sample.remove(session)
        session.commit()

        assert session.get(Plan, plan.id) is not None
        assert session.scalar(select(Team.id).where(Team.slug == "sample")) is not None
        assert session.scalar(select(Api.id).where(Api.slug == "httpbin")) is None

    def test_a_secret_that_somebody_stored_stays_with_its_team(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        session.flush()
        team = session.scalars(select(Team).where(Team.slug == "sample")).one()
        factories.upstream_secret(session, team=team)
        session.commit()

        sample.remove(session)
        session.commit()

        assert session.scalar(select(Team.id).where(Team.slug == "sample")) is not None

    def test_a_team_that_somebody_deleted_by_hand_took_all_of_it(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        session.commit()
        registry.delete_team(session, session.scalars(select(Team).where(Team.slug == "sample")).one())
        session.commit()

        assert sample.remove(session)
        session.commit()
        assert not sample.exists(session)

    def test_what_somebody_deleted_by_hand_is_no_hindrance(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        session.commit()
        registry.delete_api(session, session.scalars(select(Api).where(Api.slug == "httpbin")).one())
        session.commit()

        assert sample.remove(session)
        session.commit()
        assert session.scalar(select(Team.id).where(Team.slug == "sample")) is None


class TestMove:
    def test_another_port_is_published_at_once(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        session.commit()

        sample.move(session, 18999)
        session.commit()

        api = session.scalars(select(Api).where(Api.slug == "httpbin")).one()
        assert sample.port(session) == 18999
        assert api.live_release.number == 2
        assert api.live_release.document["upstream"]["targets"][0]["url"] == "http://127.0.0.1:18999"

    def test_changes_that_somebody_has_not_published_are_not_published_for_them(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        api = session.scalars(select(Api).where(Api.slug == "httpbin")).one()
        document = registry.read_document(api.draft | {"name": "Mine soon"})
        registry.save_draft(session, api, document, by=administrator, expected=api.draft_number)
        session.commit()

        sample.move(session, 18999)
        session.commit()

        assert api.live_release.number == 1
        assert api.draft["name"] == "Mine soon"
        assert api.draft["upstream"]["targets"][0]["url"] == "http://127.0.0.1:18999"

    def test_a_sample_that_was_pointed_elsewhere_keeps_its_address(self, session, administrator):
        sample.create(session, UPSTREAM, administrator)
        api = session.scalars(select(Api).where(Api.slug == "httpbin")).one()
        theirs = {"targets": [{"url": "https://httpbin.example"}]}
        document = registry.read_document(api.draft | {"upstream": theirs})
        registry.save_draft(session, api, document, by=administrator, expected=api.draft_number)
        session.commit()

        sample.move(session, 18999)

        assert api.draft["upstream"]["targets"][0]["url"] == "https://httpbin.example"


class TestSendCalls:
    def test_calls_of_every_kind_reach_the_gateway(self, gateway):
        address, seen = gateway
        token = new_token()

        sample.send_calls(address, token, threading.Event(), calls=120, pause=0.001)

        assert sum(seen.values()) == 120
        assert {path for path, _ in seen} >= {"/httpbin/get", "/httpbin/status/404", "/httpbin/status/500"}
        with_key = sum(n for (_, key), n in seen.items() if key == token.value)
        assert with_key == 116
        assert sum(n for (_, key), n in seen.items() if key is None) == 4

    def test_it_stops_when_told(self, gateway):
        address, seen = gateway
        stop = threading.Event()
        stop.set()

        sample.send_calls(address, new_token(), stop, calls=10_000)

        assert sum(seen.values()) <= 8


@pytest.fixture
def gateway() -> Iterator[tuple[str, Counter[tuple[str, str | None]]]]:
    """Something that listens, and what it was asked: (path, key) -> how often."""
    seen: Counter[tuple[str, str | None]] = Counter()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen[self.path, self.headers["X-API-Key"]] += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()
