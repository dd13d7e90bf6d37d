"""Health, status and metrics: who may ask, and what they learn."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import config_of, doctor, jobs, worker
from portal.db import utcnow
from portal.gateway.models import Node
from portal.programs import free_port
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
        assert f'<time datetime="{data["ingest"]["newest_call_at"]}"' in page.text
        assert data["database"] == "sqlite"
        assert (data["revision"], data["live_on"], data["nodes"][0]["name"]) == (0, 1, "node-1")
        assert data["ingest"]["waiting_bytes"] == 12
        assert data["ingest"]["newest_call_at"]
        assert data["worker"] == {"last_turn_at": None, "jobs_due": 0, "jobs_given_up": 0}

    def test_what_no_node_reports_is_unknown(self, client, cast):
        data = sign_in(client, cast.administrator).get("/status", headers={"Accept": "*/*"}).json
        assert data["ingest"]["waiting_bytes"] is None


class TestFindings:
    """What is wrong stands on the status page: some looked at now, the rest by the worker."""

    @pytest.fixture
    def page(self, client, cast):
        sign_in(client, cast.administrator)
        return lambda: client.get("/status")

    @pytest.fixture
    def worked(self, session):
        """A worker is at work, and has nothing due."""
        for kind, every in worker.PERIODIC.items():
            jobs.repeat(session, kind, every, now=utcnow() + timedelta(minutes=5))
        session.commit()

    def test_never_examined(self, page, worked):
        text = page().text

        assert "Nothing is known to be wrong" in text
        assert "were never examined" in text

    def test_without_a_worker_nobody_can_look(self, client, page):
        assert "No worker has run here yet." in page().text

        refused = client.post("/status/examine")

        assert refused.status_code == 409
        assert "No worker has looked here yet" in refused.text

    def test_nothing_is_wrong(self, page, session, worked):
        doctor.keep(session, [], now=utcnow())
        session.commit()

        text = page().text

        assert "Nothing is wrong" in text
        assert "were never examined" not in text

    def test_some_things_are_wrong_and_some_are_notes(self, client, page, session, worked):
        finding = doctor.Finding("disk", "It is <full>.", "Make room.")
        note = doctor.Finding("mail", "Letters lie about.", "Read them.", is_note=True)
        doctor.keep(session, [note, finding], now=utcnow() - timedelta(minutes=20))
        session.commit()

        text = page().text

        assert "One thing is wrong" in text
        assert "It is &lt;full&gt;." in text
        assert "20 minutes ago" in text
        assert text.index("Make room.") < text.index("Mail (a note)")
        data = client.get("/status", headers={"Accept": "*/*"}).json
        assert [each["about"] for each in data["findings"]] == ["mail", "disk"]
        assert data["examined_at"]

    def test_the_button_has_the_worker_look(self, app, client, page, session, worked):
        app.extensions["portico"] = replace(app.extensions["portico"], gateway_port=free_port())
        page()

        answer = client.post("/status/examine")

        assert (answer.status_code, answer.location) == (303, "/status")
        assert "Another look is asked for" in page().text
        with app.app_context():
            assert worker.turn(config_of(app), "test")
        assert "No gateway answers" in page().text
        assert "Another look is asked for" not in page().text


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
