"""Every error is a page for browsers and JSON for everybody else, with the request id that the log has."""

import logging
import re
from dataclasses import replace

import pytest
from flask import abort
from sqlalchemy.exc import IntegrityError, OperationalError

from portal import errors, logs
from tests.conftest import sign_in

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

RAISED = {
    "bad": errors.BadRequest("Say which."),
    "signed-out": errors.NotSignedIn(),
    "forbidden": errors.Forbidden(),
    "missing": errors.NotFound(),
    "conflict": errors.PathTaken("/a", "Orders"),
    "link": errors.LinkDead("Ask for another one."),
    "invalid": errors.Invalid({"name": "Give it a name."}),
    "often": errors.TooManyAttempts(7),
    "later": errors.Unavailable("Come back later."),
    "unknown": errors.PortalError("Hm."),
}


@pytest.fixture
def app(own_app):
    return own_app


@pytest.fixture
def failing(app):
    """Routes that fail in every way there is."""

    def fail(how: str) -> str:
        if how.isdigit():
            abort(int(how))
        if how == "bug":
            raise ZeroDivisionError("secret detail")
        if how == "overtaken":
            raise IntegrityError("insert secret", {}, Exception("unique"))
        if how == "database":
            raise OperationalError("select secret", {}, Exception("locked"))
        raise RAISED[how]

    app.add_url_rule("/fail/<how>", view_func=fail, methods=["GET"], endpoint="fail")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.mark.parametrize(
    ("how", "status"),
    [(how, error.status) for how, error in RAISED.items()]
    + [(str(status), status) for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503)]
    + [("bug", 500), ("database", 503), ("overtaken", 409)],
)
class TestEveryError:
    def test_is_json_for_programs(self, failing, client, how, status):
        answer = client.get(f"/fail/{how}", headers={"Accept": "*/*"})

        assert answer.status_code == status
        assert answer.json.keys() == {"status", "message", "request_id"}
        assert answer.json["status"] == status
        assert answer.json["message"].endswith(".")
        assert "secret" not in answer.text
        assert re.fullmatch(UUID7, answer.json["request_id"])
        assert answer.headers["X-Request-Id"] == answer.json["request_id"]

    def test_is_a_page_for_people(self, failing, client, cast, how, status):
        answer = sign_in(client, cast.stranger).get(f"/fail/{how}")

        if status == 401:
            assert (answer.status_code, answer.location) == (303, f"/sign-in?next=/fail/{how}")
            return
        assert answer.status_code == status
        assert answer.text.count("<h1") == 1
        assert answer.headers["X-Request-Id"] in answer.text
        assert "secret" not in answer.text


class TestLog:
    @pytest.mark.parametrize("how", ["bug", "overtaken"])
    def test_has_no_token_of_a_mailed_link(self, failing, client, caplog, monkeypatch, how):
        monkeypatch.setattr(logging.getLogger("portal"), "propagate", True)
        failing.add_url_rule("/<how>/<token>", view_func=lambda how, token: failing.view_functions["fail"](how=how))

        client.get(f"/{how}/letting-in")

        assert f"GET /{how}/… " in caplog.text
        assert "letting-in" not in caplog.text


class TestDetails:
    def test_401_says_how_to_authenticate(self, failing, client):
        answer = client.get("/fail/signed-out", headers={"Accept": "application/json"})

        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Portico"'

    def test_a_form_of_a_stranger_is_refused_rather_than_forgotten(self, client):
        assert client.post("/apis/new").status_code == 401

    def test_429_says_when_to_come_back(self, failing, client):
        assert client.get("/fail/often").headers["Retry-After"] == "7"

    def test_405_names_what_is_possible(self, client):
        answer = client.post("/healthz", headers={"Accept": "*/*"})

        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]
        assert "GET" in answer.json["message"]

    def test_the_log_has_the_id_and_the_trace(self, failing, client, config, tmp_path):
        logs.set_up(replace(config, log_file=str(tmp_path / "log")))
        answer = client.get("/fail/bug", headers={"Accept": "*/*"})

        logged = (tmp_path / "log").read_text()
        assert answer.json["request_id"] in logged
        assert "ZeroDivisionError" in logged

    def test_what_is_too_large_is_413(self, client, cast):
        answer = sign_in(client, cast.owner).post("/apis/new", data={"name": "x" * 3_000_000})

        assert answer.status_code == 413

    def test_a_foreign_host_header_is_refused(self, client):
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400

    def test_a_missing_csrf_token_is_said_in_words(self, app, client, cast):
        app.config["WTF_CSRF_ENABLED"] = True
        answer = sign_in(client, cast.owner).post("/sign-out", headers={"Accept": "*/*"})

        assert answer.status_code == 400
        assert "reload the page" in answer.json["message"]


class TestHeaders:
    def test_pages_carry_a_strict_policy_with_a_fresh_nonce(self, client):
        first, second = (client.get("/sign-in").headers["Content-Security-Policy"] for _ in range(2))

        assert "unsafe" not in first
        assert "frame-ancestors 'none'" in first
        assert first != second

    def test_every_script_and_style_of_a_page_carries_it(self, client):
        answer = client.get("/sign-in")

        nonce = re.search(r"nonce-([\w-]+)", answer.headers["Content-Security-Policy"])[1]
        inline = re.findall(r"<(?:script|style)(?![^>]*\bsrc=)([^>]*)>", answer.text)
        assert all(f'nonce="{nonce}"' in attributes for attributes in inline)
        assert not re.search(r"<[^>]+\s(?:style|on\w+)=", answer.text)

    def test_pages_are_not_kept_by_caches_and_not_sniffed(self, client):
        headers = client.get("/sign-in").headers

        assert "no-store" in headers["Cache-Control"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_log_lines_are_json_when_asked(config, app, capsys):
    logs.set_up(replace(config, log_format="json"))
    logging.getLogger("portal.test").info("hello %s", "there")

    line = capsys.readouterr().out
    assert '"message":"hello there"' in line
    assert '"level":"INFO"' in line
