"""Every error below /api is a problem detail (RFC 9457)."""

import re

import pytest

from portal.errors import Invalid
from tests.rest.conftest import token_of

JSON = "application/json"


@pytest.fixture
def app(own_app):
    return own_app


def is_problem(answer, status: int) -> bool:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    found = answer.json
    assert found["status"] == status
    assert found["detail"].endswith(".")
    assert re.fullmatch(r"[a-z_]+", found["code"])
    assert found["instance"] == f"urn:uuid:{answer.headers['X-Request-Id']}"
    assert found["request_id"] == answer.headers["X-Request-Id"]
    return True


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/json"])
class TestWhateverIsAccepted:
    def test_an_unknown_address(self, program, cast, accept):
        for path in ("/nothing", "/teams/", "/", "/../v2"):
            assert is_problem(program(cast.owner).get(path, Accept=accept), 404)

    def test_the_root(self, client, accept):
        assert is_problem(client.get("/api", headers={"Accept": accept}), 404)

    def test_a_method_that_is_not_taken(self, program, cast, accept):
        answer = program(cast.owner).delete("/me", Accept=accept)

        assert is_problem(answer, 405)
        assert "GET" in answer.headers["Allow"]

    def test_nobody(self, program, accept):
        assert is_problem(program().get("/me", Accept=accept), 401)


class TestBodies:
    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
    )
    def test_of_another_kind(self, app, session, cast, kind):

        token = token_of(session, cast.owner)
        answer = app.test_client().post(
            "/api/v1/teams", data=b"slug=a&name=b", headers={"Authorization": f"Bearer {token}", "Content-Type": kind}
        )
        assert is_problem(answer, 415)

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b'{"slug": "a", "name": "\xff"}', 400),
            (b'{"slug": "a", "name": "\\ud800"}', 400),
            (b'{"slug": "a", "name": NaN}', 400),
            (b"[" * 100_000, 400),
            (b"null", 422),
            (b"[]", 422),
            (b'"x"', 422),
            (b'{"slug": 1, "name": "A"}', 422),
            (b'{"slug": "a", "name": "A\\u0000"}', 422),
            (b'{"slug": "a", "name": "A", "\\u0000": 1}', 422),
            (b'{"slug": "A b", "name": "A"}', 422),
            (b'{"slug": "a", "name": "' + b"x" * 81 + b'"}', 422),
            (b'{"slug": "a", "name": "' + b"x" * 3_000_000 + b'"}', 413),
        ],
        ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else str(value),
    )
    def test_that_cannot_be_meant(self, app, session, cast, sent, status):

        app.config["PROPAGATE_EXCEPTIONS"] = False
        token = token_of(session, cast.owner)
        answer = app.test_client().post(
            "/api/v1/teams", data=sent, headers={"Authorization": f"Bearer {token}"}, content_type=JSON
        )
        assert is_problem(answer, status)

    def test_say_where_json_breaks(self, app, session, cast):

        answer = app.test_client().post(
            "/api/v1/teams",
            data=b'{"slug": "a",\n "name" "b"}',
            headers={"Authorization": f"Bearer {token_of(session, cast.owner)}"},
            content_type=JSON,
        )
        assert "line 2" in answer.json["detail"]

    def test_name_each_field(self, program, cast):
        answer = program(cast.owner).post("/teams", {"name": "", "more": 1})

        assert is_problem(answer, 422)
        assert {each["field"]: each["pointer"] for each in answer.json["errors"]} == {
            "slug": "#/slug",
            "name": "#/name",
            "more": "#/more",
        }

    def test_name_the_field_that_is_taken(self, program, cast):
        answer = program(cast.owner).post("/teams", {"slug": "cast", "name": "A"})

        assert is_problem(answer, 409)
        assert (answer.json["code"], answer.json["errors"][0]["field"]) == ("name_taken", "slug")


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=%2B5", "limit"),
            ("limit=5.0", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=nonsense", "cursor"),
            ("cursor=WyJhIl0", "cursor"),
            ("cursor=%ff", "cursor"),
            ("sort=name", "sort"),
        ],
    )
    def test_that_cannot_be_meant(self, program, cast, query, field):
        answer = program(cast.owner).get(f"/teams?{query}")

        assert is_problem(answer, 422)
        assert [each["field"] for each in answer.json["errors"]] == [field]

    def test_with_a_nul(self, program, cast):
        assert is_problem(program(cast.owner).get("/teams?q=%00"), 400)
        assert is_problem(program(cast.owner).get("/teams/%00"), 404)

    def test_those_of_calls_and_traffic(self, program, cast):
        asking = program(cast.owner)
        for path, field in (
            ("/calls?api=a/b/c", "api"),
            ("/calls?key=x", "key"),
            ("/calls?since=yesterday", "since"),
            ("/calls?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
            ("/calls?since=9999-12-31T23:59:59-14:00", "since"),
            ("/traffic?window=2h", "window"),
            ("/traffic?consumer=a/b", "consumer"),
            ("/traffic?since=2001-01-01T00:00:00Z", "since"),
            ("/traffic?until=2001-01-01T00:00:00Z", "since"),
            ("/traffic?window=1h&until=2026-01-01T00:00:00Z", "window"),
        ):
            answer = asking.get(path)
            assert is_problem(answer, 422), path
            assert [each["field"] for each in answer.json["errors"]] == [field], path
        assert is_problem(asking.get("/calls?cursor=x"), 400)


def test_a_bug_is_a_500_without_its_details(app, program, cast):
    def fail() -> None:
        raise ZeroDivisionError("secret detail")

    app.add_url_rule("/api/v1/fail", view_func=fail)
    answer = program(cast.owner).get("/fail")

    assert is_problem(answer, 500)
    assert "secret" not in answer.text


def test_a_pointer_reaches_into_lists(app, program, cast):
    def fail() -> None:
        raise Invalid({"upstream.targets.0.url": "Begin the address with http:// or https://."})

    app.add_url_rule("/api/v1/fail", view_func=fail)

    assert program(cast.owner).get("/fail").json["errors"][0]["pointer"] == "#/upstream/targets/0/url"


def test_nothing_here_sets_a_cookie_or_asks_for_a_form_token(app, program, cast):
    app.config["WTF_CSRF_ENABLED"] = True
    made = program(cast.owner).post("/teams/cast/consumers", {"slug": "shop", "name": "Shop"})

    assert made.status_code == 201
    assert "Set-Cookie" not in made.headers
