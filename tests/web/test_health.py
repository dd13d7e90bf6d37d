"""Health, status and metrics: who may ask, and what they learn."""

from dataclasses import replace

import pytest

from portal.gateway.models import Node
from portal.registry.models import Revision
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


class TestHealth:
    @pytest.mark.parametrize("address", ["/healthz", "/readyz"])
    def test_is_open_and_says_nothing_more(self, client, address):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.json == {"status": "ok"}

    def test_is_not_ready_without_a_schema(self, client, session):
        session.execute(Revision.__table__.delete())
        session.commit()
        assert client.get("/readyz").status_code == 503


class TestStatus:
    def test_is_for_administrators(self, client, cast):
        assert sign_in(client, cast.owner).get("/status").status_code == 403

    def test_is_json_or_a_page(self, client, session, cast, engine, tmp_path):
        session.add(Node(name="node-1", instance_id="x", state="serving", revision=0, log_waiting=12))
        session.commit()
        logged.store(engine, tmp_path, logged.line())
        sign_in(client, cast.administrator)

        page = client.get("/status")
        data = client.get("/status", headers={"Accept": "*/*"}).json

        assert "answers" in page.text
        assert data["database"] == "sqlite"
        assert (data["revision"], data["live_on"], data["nodes"][0]["name"]) == (0, 1, "node-1")
        assert data["ingest"]["waiting_bytes"] == 12
        assert data["ingest"]["newest_call_at"]
        assert data["worker"] == {"last_turn_at": None, "jobs_due": 0, "jobs_given_up": 0}

    def test_what_no_node_reports_is_unknown(self, client, cast):
        data = sign_in(client, cast.administrator).get("/status", headers={"Accept": "*/*"}).json
        assert data["ingest"]["waiting_bytes"] is None


class TestMetrics:
    @pytest.fixture
    def ask(self, app, client):
        def ask(address, token="", **headers):
            sent = {"Accept": "*/*"} | headers | ({"Authorization": f"Bearer {token}"} if token else {})
            return client.get("/metrics", headers=sent, environ_overrides={"REMOTE_ADDR": address})

        return ask

    @pytest.fixture
    def guarded(self, app):
        app.extensions["portico"] = replace(app.extensions["portico"], metrics_token="t0ken")

    def test_are_for_loopback(self, ask):
        assert ask("127.0.0.1").status_code == 200
        assert ask("::1").status_code == 200

        refused = ask("192.0.2.1")
        assert refused.status_code == 401
        assert "WWW-Authenticate" in refused.headers

    def test_are_not_for_whom_a_proxy_of_this_machine_brings(self, ask):
        assert ask("127.0.0.1", **{"X-Forwarded-For": "192.0.2.1"}).status_code == 401

    def test_are_for_who_has_the_token(self, ask, guarded):
        assert ask("192.0.2.1", "t0ken").status_code == 200
        assert ask("192.0.2.1", "wrong").status_code == 401
        assert ask("192.0.2.1").status_code == 401
        assert ask("127.0.0.1").status_code == 200

    def test_tell_calls_by_class(self, ask, session, engine, tmp_path):
        api = factories.api(session, live=True)
        session.add(Node(name='odd "name"', instance_id="x", state="serving", revision=1, log_waiting=7))
        session.commit()
        logged.store(engine, tmp_path, logged.line(api), logged.line(api), logged.line(api, st=502))

        lines = ask("127.0.0.1").text.splitlines()

        assert 'portico_calls_last_hour{class="2xx"} 2' in lines
        assert 'portico_calls_last_hour{class="5xx"} 1' in lines
        assert 'portico_log_waiting_bytes{node="odd \\"name\\""} 7' in lines
        assert "portico_nodes_live 1" in lines
        assert all(line.startswith(("#", "portico_")) for line in lines)
