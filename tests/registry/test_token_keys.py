"""Keys of issuers, fetched again and again: what is asked for when, what stays, what nodes hear of."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from portal import jobs, registry
from portal.db import utcnow
from portal.gateway.read import read_snapshot
from portal.outbound.addresses import AddressRules
from portal.outbound.fetch import Fetched, fetch
from portal.reading.token_keys import fetched
from portal.registry import revision, token_keys
from portal.registry.jwks import KeySet, read_jwks
from portal.registry.models import Api, TokenKeys
from tests import factories, tokens
from tests.registry.test_tokens import JWT, URL

OLD, NEW = (read_jwks(tokens.jwks(tokens.rsa_signer(kid))) for kid in ("old", "new"))
OTHER = "https://other.example/jwks"


def authentication(url: str = URL) -> dict[str, Any]:
    return {"key": True, "jwt": JWT | {"jwks_url": url}}


@pytest.fixture
def api(session) -> Api:
    factories.api(session, live=True)
    return factories.api(session, live=True, name="Orders", authentication=authentication())


def rows(session) -> dict[tuple[int, str], TokenKeys]:
    return {(row.api_id, row.url): row for row in session.scalars(select(TokenKeys))}


class TestSettle:
    def test_one_for_each_address_that_a_draft_or_a_live_release_names(self, session, api):
        document = registry.read_document(api.draft | {"authentication": authentication(OTHER)})
        registry.save_draft(session, api, document, by=None, expected=api.draft_number)
        token_keys.settle(session)
        assert rows(session).keys() == {(api.id, URL), (api.id, OTHER)}

        registry.publish(session, api, by=None, expected=api.draft_number)
        session.flush()
        token_keys.settle(session)
        assert rows(session).keys() == {(api.id, OTHER)}

    def test_saying_it_again_changes_nothing(self, session, api):
        token_keys.settle(session)
        token_keys.keep(session, URL, OLD, now=utcnow())
        session.flush()
        token_keys.settle(session)

        assert rows(session)[api.id, URL].jwks == OLD.text

    def test_with_the_api_its_keys_go(self, session, api):
        token_keys.settle(session)
        session.commit()
        registry.delete_api(session, api)
        session.commit()

        assert rows(session) == {}

    def test_a_saved_document_has_the_worker_look(self, session, api):
        now = utcnow()
        jobs.repeat(session, token_keys.KIND, token_keys.EVERY, now=now + timedelta(hours=1))
        document = registry.read_document(api.draft | {"authentication": authentication(OTHER)})

        registry.save_draft(session, api, document, by=None, expected=api.draft_number)
        session.commit()

        held = jobs.claim(session, by="test", now=utcnow(), only={token_keys.KIND})
        assert held is not None


class TestDue:
    @pytest.fixture(autouse=True)
    def _settled(self, session, api):
        token_keys.settle(session)
        session.flush()

    def test_new_ones_are_due_and_fresh_ones_are_not(self, session):
        now = utcnow()
        assert token_keys.due(session, now=now) == [URL]

        token_keys.keep(session, URL, OLD, now=now)
        session.flush()
        assert token_keys.due(session, now=now + timedelta(minutes=2)) == []
        assert token_keys.due(session, now=now + token_keys.FRESH) == [URL]

    def test_what_failed_is_tried_sooner(self, session):
        now = utcnow()
        token_keys.keep(session, URL, "It does not answer.", now=now)
        session.flush()

        assert token_keys.due(session, now=now + timedelta(seconds=20)) == []
        assert token_keys.due(session, now=now + token_keys.EVERY) == [URL]

    def test_an_address_of_several_apis_is_asked_once(self, session, api):
        second = factories.api(session, live=True, authentication=authentication())
        token_keys.settle(session)
        session.flush()

        assert token_keys.due(session, now=utcnow()) == [URL]
        token_keys.keep(session, URL, OLD, now=utcnow())
        assert {key: row.jwks for key, row in rows(session).items()} == {
            (api.id, URL): OLD.text,
            (second.id, URL): OLD.text,
        }

    def test_somebody_may_want_it_now(self, session, api):
        token_keys.keep(session, URL, OLD, now=utcnow())
        session.flush()
        jobs.repeat(session, token_keys.KIND, token_keys.EVERY, now=utcnow())

        assert token_keys.fetch_again(session, api)

        assert token_keys.due(session, now=utcnow()) == [URL]
        assert token_keys.state_of(session, api).is_awaited


class TestKeep:
    @pytest.fixture(autouse=True)
    def _settled(self, session, api):
        token_keys.settle(session)
        session.commit()

    def test_nodes_hear_of_new_keys_and_of_nothing_else(self, session, api):
        before = revision.current(session)
        assert token_keys.keep(session, URL, OLD, now=utcnow())
        session.commit()
        assert revision.current(session) == before + 1

        assert not token_keys.keep(session, URL, OLD, now=utcnow())
        assert not token_keys.keep(session, URL, "It does not answer.", now=utcnow())
        session.commit()
        assert revision.current(session) == before + 1

    def test_the_last_good_set_stays_and_the_failure_is_told(self, session, api):
        token_keys.keep(session, URL, OLD, now=utcnow())
        token_keys.keep(session, URL, "It does not answer.", now=utcnow())
        session.commit()

        state = token_keys.state_of(session, api)
        assert [key.kid for key in state.keys] == ["old"]
        assert state.problem == "It does not answer."
        assert token_keys.failing(session) == [(URL, "It does not answer.")]
        (served,) = (each for each in snapshot(session).apis if each.jwt)
        assert served.jwt.jwks == OLD.text

        token_keys.keep(session, URL, NEW, now=utcnow())
        session.commit()
        assert token_keys.failing(session) == []
        (served,) = (each for each in snapshot(session).apis if each.jwt)
        assert served.jwt.jwks == NEW.text

    def test_until_there_are_keys_the_gateway_has_none(self, session, api):
        (served,) = (each for each in snapshot(session).apis if each.jwt)
        assert (served.jwt.jwks, served.jwt.source) == ("", URL)


def snapshot(session):
    session.commit()
    with session.get_bind().connect() as connection:
        return read_snapshot(connection)


def test_pasted_keys_and_subjects_reach_the_gateway(session):
    authentication = {"key": False, "jwt": {"issuer": "i", "jwks": OLD.text, "claim": "azp"}}
    api = factories.api(session, live=True, authentication=authentication)
    use = factories.subscription(session, factories.consumer(session), api)
    over = factories.subscription(session, factories.consumer(session), api)
    registry.set_subject(session, use, "alice")
    registry.set_subject(session, over, "bob")
    registry.end_subscription(session, over)

    found = snapshot(session)

    (served,) = found.apis
    assert (served.jwt.jwks, served.jwt.claim, served.takes_key) == (OLD.text, "azp", False)
    assert found.subjects == [(use.id, "alice")]


class TestFetched:
    """Over http, as a loopback server has no certificate; that only https is asked for stands in the last tests."""

    @pytest.fixture
    def server(self) -> Iterator[ThreadingHTTPServer]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = self.server.answer  # type: ignore[attr-defined]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
        server.server_close()

    def ask(self, server: Any, status: int, body: bytes, rules: AddressRules | None = None) -> KeySet | str:
        server.answer = status, body

        def plainly(url: str, rules: AddressRules, **more: Any) -> Fetched:
            return fetch(url, rules, **more | {"only_https": False})

        url = f"http://127.0.0.1:{server.server_port}/jwks"
        return fetched(url, rules or AddressRules(loopback=True), ask=plainly)

    def test_a_good_set_comes_back(self, server):
        assert self.ask(server, 200, OLD.text.encode()) == OLD

    @pytest.mark.parametrize(
        ("status", "body", "said"),
        [
            (500, b"", "status 500"),
            (404, b"", "status 404"),
            (200, b"<html>", "This is not JSON"),
            (200, b" " * 70_000, "which is the most here"),
            (200, tokens.jwks(more=[{"kty": "oct", "k": "x"}]).encode(), "symmetric"),
        ],
    )
    def test_anything_else_is_a_sentence(self, server, status, body, said):
        assert said in self.ask(server, status, body)

    def test_this_machine_is_not_asked_where_that_is_not_allowed(self, server):
        assert "this machine itself" in self.ask(server, 200, OLD.text.encode(), AddressRules())

    @pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "[::ffff:169.254.169.254]"])
    def test_forbidden_addresses_are_not_asked(self, host):
        assert "allowed" in fetched(f"https://{host}/jwks", AddressRules())

    def test_names_that_lead_there_are_not_asked_either(self):
        ask = partial(fetch, lookup=lambda _name: ["169.254.169.254"])

        assert "metadata" in fetched("https://login.example/jwks", AddressRules(), ask=ask)

    def test_only_https_is_asked(self):
        assert "does not begin with https://" in fetched("http://login.example/jwks", AddressRules())
