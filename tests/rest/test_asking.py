"""Who may ask at all: tokens, scopes, limits, and that a browser's cookies count nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal.accounts import tokens
from portal.accounts.audit import AuditEntry
from portal.accounts.tokens import AccessToken, Scope
from portal.db import utcnow
from portal.registry.models import Visibility
from tests import factories
from tests.conftest import sign_in
from tests.rest.conftest import Program, token_of


class TestToken:
    def test_says_who_it_is(self, program, cast):
        answer = program(cast.owner, [Scope.READ]).get("/me")

        assert answer.status_code == 200
        assert answer.json["email"] == cast.owner.email
        assert {"slug": "cast", "role": "owner"}.items() <= answer.json["teams"][1].items()
        assert answer.json["token"]["scopes"] == ["read"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize(
        "sent", ["", "Bearer", "Bearer ", "Bearer ppt_x", "Basic cHB0Xw==", "ppt_x", "Bearer ppt_" + "ü" * 46]
    )
    def test_anything_else_is_401_with_a_challenge(self, app, cast, sent):
        answer = app.test_client().get("/api/v1/me", headers={"Authorization": sent.encode().decode("latin-1")})

        assert answer.status_code == 401
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="Portico"')

    def test_no_token_is_told_apart_from_a_wrong_one(self, app):
        client = app.test_client()

        assert "error" not in client.get("/api/v1/me").headers["WWW-Authenticate"]
        wrong = client.get("/api/v1/me", headers={"Authorization": "Bearer x"})
        assert 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]

    def test_a_signed_in_browser_is_nobody_here(self, client, cast):
        answer = sign_in(client, cast.administrator).get("/api/v1/me")

        assert answer.status_code == 401

    def test_a_browsers_cookie_adds_nothing_to_a_token(self, client, session, cast):
        text = token_of(session, cast.stranger, [Scope.READ, Scope.ADMIN])
        answer = sign_in(client, cast.administrator).get("/api/v1/people", headers={"Authorization": f"Bearer {text}"})

        assert answer.status_code == 403

    def test_a_token_opens_no_page(self, client, session, cast):
        text = token_of(session, cast.owner)

        assert client.get("/settings", headers={"Authorization": f"Bearer {text}"}).status_code == 303

    def test_who_tries_many_is_slowed_and_the_right_one_is_not(self, program, cast):
        right, wrong = program(cast.owner), Program(program().__dict__["_client"], "ppt_nonsense")
        answers = [wrong.get("/me") for _ in range(25)]

        assert {answer.status_code for answer in answers[:20]} == {401}
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert right.get("/me").status_code == 200

    def test_one_that_has_expired_opens_nothing(self, program, session, cast):
        asking = program(cast.owner)
        session.execute(update(AccessToken).values(expires_at=utcnow() - timedelta(seconds=1)))
        session.commit()

        assert asking.get("/me").status_code == 401

    def test_whoever_lacks_a_required_second_factor_sets_it_up_first(self, app, program, cast):
        app.extensions["portico"] = replace(app.extensions["portico"], require_mfa="everybody")

        assert program(cast.owner).get("/me").status_code == 403


class TestScopes:
    @pytest.mark.parametrize(
        ("scope", "method", "path", "body"),
        [
            (Scope.READ, "GET", "/apis", None),
            (Scope.TEAMS, "POST", "/teams", {"slug": "night", "name": "Night"}),
            (Scope.CONSUMERS, "POST", "/teams/cast/consumers", {"slug": "shop", "name": "Shop"}),
            (Scope.APIS, "POST", "/teams/cast/plans", {"slug": "gold", "name": "Gold"}),
            (Scope.ADMIN, "GET", "/people", None),
        ],
        ids=lambda value: getattr(value, "name", None),
    )
    def test_each_opens_its_own_only(self, program, cast, scope, method, path, body):
        who = cast.administrator if scope is Scope.ADMIN else cast.owner
        refused = program(who, [each for each in Scope if each is not scope]).ask(method, path, body)
        assert (refused.status_code, refused.json["code"]) == (403, "scope_missing")
        assert f" {scope.value}." in refused.json["detail"]

        assert program(who, [scope]).ask(method, path, body).status_code in {200, 201}

    def test_none_gives_its_person_more(self, program, cast):
        assert program(cast.developer).post("/teams/cast/plans", {"slug": "x", "name": "X"}).status_code == 403
        assert program(cast.owner).get("/people").status_code == 403


def private_api(session, team):
    api = factories.api(session, team=team, slug="orders", live=True)
    api.visibility = Visibility.TEAM
    return api


class TestAdministrator:
    """Without the scope `admin` a token of theirs is one of a member of their own teams."""

    NARROW = tuple(scope for scope in Scope if scope is not Scope.ADMIN)

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/teams/cast", None),
            ("GET", "/teams/cast/apis/orders/v1", None),
            ("PUT", "/teams/cast/apis/orders/v1/plans", {"plans": []}),
            ("GET", "/catalogue/cast/orders/v1", None),
            ("POST", "/teams/cast/consumers", {"slug": "shop", "name": "Shop"}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_reaches_other_teams_with_the_scope_only(self, program, session, cast, method, path, body):
        private_api(session, cast.team)
        session.commit()

        assert program(cast.administrator, self.NARROW).ask(method, path, body).status_code == 404
        assert program(cast.administrator).ask(method, path, body).status_code in {200, 201}

    def test_lists_leave_other_teams_out(self, program, session, cast):
        own = factories.team(session, owner=cast.administrator, slug="own")
        for team in (cast.team, own):
            private_api(session, team)
            factories.plan(session, team=team)
            factories.consumer(session, team=team)
        session.commit()
        narrow, whole = program(cast.administrator, self.NARROW), program(cast.administrator)

        for path in ("/apis", "/plans", "/consumers"):
            assert {each["team"] for each in narrow.get(path).json["items"]} == {"own"}
            assert {each["team"] for each in whole.get(path).json["items"]} == {"own", "cast"}
        assert "cast" not in {each["slug"] for each in narrow.get("/teams").json["items"]}
        assert "cast" in {each["slug"] for each in whole.get("/teams").json["items"]}
        assert [each["api"] for each in narrow.get("/catalogue").json["items"]] == ["own/orders/v1"]
        assert narrow.get("/calls").status_code == 200

    def test_does_what_a_member_may_in_a_team_of_theirs(self, program, session, cast):
        own = factories.team(session, owner=cast.administrator, slug="own", may_publish=True)
        api = factories.api(session, team=own, slug="orders")
        session.commit()
        asking, path = program(cast.administrator, self.NARROW), "/teams/own/apis/orders/v1/draft"
        document = {**api.draft, "upstream": {**api.draft["upstream"], "tls_verify": False}}

        assert asking.put(path, {**api.draft, "description": "New."}, If_Match="*").status_code == 200
        # Switching certificate checks off is an administrator's act.
        assert asking.put(path, document, If_Match="*").status_code == 422
        assert program(cast.administrator).put(path, document, If_Match="*").status_code == 200

    def test_is_still_told_what_they_are(self, program, cast):
        assert program(cast.administrator, [Scope.READ]).get("/me").json["is_administrator"] is True


class TestTrail:
    def test_says_that_a_token_did_it_and_which(self, program, session, cast):
        program(cast.owner).post("/teams/cast/consumers", {"slug": "shop", "name": "Shop"})

        session.rollback()
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.kind == "consumer"))
        public_id = session.scalars(select(AccessToken.public_id)).one()
        assert (entry.person_id, entry.by) == (cast.owner.id, f"token ppt_{public_id}")
        assert entry.address == "127.0.0.1"


class TestRate:
    def test_is_told_and_held(self, app, program, cast):
        app.extensions["portico"] = replace(app.extensions["portico"], api_per_minute=3)
        asking = program(cast.owner)
        answers = [asking.get("/me") for _ in range(8)]  # a minute may begin between them

        assert answers[0].headers["RateLimit-Policy"] == '"token";q=3;w=60'
        assert answers[0].headers["RateLimit"].startswith('"token";r=2;t=')
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json["code"] == "too_many_requests"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["RateLimit"].startswith('"token";r=0;t=')
        assert program(cast.owner).get("/me").status_code == 200

    def test_what_is_refused_counts_too(self, program, cast):
        asking = program(cast.owner)
        left = [asking.get("/people").headers["RateLimit"].split(";")[1] for _ in range(2)]

        assert left[0] != left[1]

    def test_zero_is_no_limit(self, app, program, cast):
        app.extensions["portico"] = replace(app.extensions["portico"], api_per_minute=0)

        assert "RateLimit" not in program(cast.owner).get("/me").headers

    def test_last_use_is_shown_to_its_person(self, program, session, cast):
        program(cast.owner).get("/me")

        session.rollback()
        ((_, used_at),) = tokens.of_person(session, cast.owner)
        assert used_at is not None
