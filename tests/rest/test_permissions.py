"""Every route of the REST API against every member of the cast, as the table of who may do what says."""

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from portal.accounts import Permission, Person, Team
from portal.accounts.tokens import Scope
from portal.db import db
from portal.registry.keys import new_token
from portal.rest.route import ROOT, ROUTES, Route
from tests.rest.conftest import token_of
from tests.web.attacks.pages import rows
from tests.web.test_permissions import EVERYBODY, MEMBERS, TABLE, World, world

__all__ = ["world"]

OPENAPI = '{"openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}, "paths": {"/pets": {"get": {}}}}'
BODIES: dict[str, dict[str, Any]] = {
    "teams_create": {"slug": "made", "name": "Made"},
    "teams_change": {"name": "Changed"},
    "teams_allow_publishing": {"allowed": False},
    "members_add": {"email": "nobody@portico.example", "role": "owner"},
    "members_change": {"role": "publisher"},
    "apis_create": {
        "slug": "made",
        "version": "v1",
        "document": {"name": "Made", "path": "/made/v1", "upstream": {"targets": [{"url": "http://127.0.0.1:1"}]}},
    },
    "apis_limit": {"overall_per_second": 5},
    "apis_offer": {"plans": []},
    "drafts_save": {"name": "Made", "path": "/made/v2", "upstream": {"targets": [{"url": "http://127.0.0.1:1"}]}},
    "releases_publish": {"note": "x"},
    "releases_republish": {"note": "x"},
    "lifecycle_deprecate": {"message": "Move on."},
    "versions_create": {"version": "v77"},
    "versions_carry": {"source": "v0"},
    "visibility_change": {"visibility": "public"},
    "imports_bring": {"text": OPENAPI},
    "imports_bring_again": {"text": OPENAPI},
    "imports_apply": {"target": "http://127.0.0.1:1", "slug": "imported", "version": "v7"},
    "categories_create": {"slug": "made", "name": "Made"},
    "categories_change": {"name": "Changed", "position": 3},
    "categories_choose": {"category": None},
    "plans_create": {"slug": "made", "name": "Made"},
    "plans_change": {"name": "Changed"},
    "secrets_store": {"name": "made", "kind": "header", "value": "hush"},
    "secrets_replace": {"value": "hush"},
    "consumers_create": {"slug": "made", "name": "Made"},
    "consumers_change": {"name": "Changed"},
    "subscriptions_create": {"api": "a/b/c", "plan": "made"},
    "subscriptions_change": {"ends_at": None},
    "subscriptions_set_subject": {"subject": "alice"},
    "consumers_move": {"team": "made"},
    "subscriptions_switch_plan": {"plan": "made"},
    "subscribers_admit": {"consumer": "con_abcdefghijklmnop", "plan": "made"},
    "subscribers_suspend": {"reason": "Too many errors."},
    "subscribers_assign_plan": {"plan": "made"},
    "subscribers_grant_until": {"until": None},
    "subscribers_give_notice": {"ends_at": "2099-01-01T00:00:00Z"},
    "approvals_approve": {"words": "Welcome."},
    "approvals_reject": {"reason": "Not yet."},
    "keys_issue": {"label": "made"},
    "keys_change": {"label": "changed", "read_only": True},
    "keys_rotate": {"leaked": True},
    "keys_revoke_many": {"keys": ["aaaaaaaaaaaa"]},
    "leaks_report": {"key": new_token().value},
    "channels_create": {"name": "made", "kind": "webhook", "url": "http://127.0.0.1:1/x", "events": ["key.leaked"]},
    "channels_change": {"is_paused": True},
    "channels_rotate": {"former_valid_for": "hour"},
    "notices_read": {"id": 1},
    "notices_choose": {"items": [{"event": "key.expiring", "mail": False}]},
    "people_create": {"email": "made@portico.example", "name": "Made"},
    "people_change": {"is_active": True},
    "invitations_invite": {"email": "made@portico.example"},
}
"""What is sent to each route that takes a body; it need not succeed, only not be refused for who sends it."""

OF_THE_CALL = {"calls_show"}
NARROW = "administrator without the scope for it"
"""To the team of the world an outsider."""


@pytest.fixture(scope="module")
def secrets(world: World) -> dict[str, str]:
    """A token with every scope for each of the people, and a narrower one of the administrator."""
    with world.app.app_context():
        session = db.session()
        made = {
            who: token_of(session, session.get_one(Person, person.id))
            for who, person in world.people.items()
            if person is not None
        }
        administrator = session.get_one(Person, world.people["administrator"].id)
        made[NARROW] = token_of(session, administrator, [scope for scope in Scope if scope is not Scope.ADMIN])
        session.close()
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
    world.kept.write_bytes((world.app.extensions["portico"].data_dir / "portico.sqlite3").read_bytes())
    return made


def address(route: Route, parts: dict[str, Any]) -> str:
    return ROOT + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(parts[match[1]]), route.path)


def ask(world: World, route: Route, token: str | None, parts: dict[str, Any], **more: str) -> Any:
    world.app.config["PROPAGATE_EXCEPTIONS"] = False
    headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"If-Match": "*"} if route.match else {})
    body = BODIES[route.name] if route.body else None
    sent = {} if body is None else {"data": orjson.dumps(body), "content_type": "application/json"}
    return world.app.test_client().open(address(route, parts), method=route.method, headers=headers | more, **sent)


def expected(route: Route, who: str) -> str:
    """A status, or `allowed` for any that is not a refusal."""
    if route.permission is Permission.PUBLIC:
        return "allowed"
    if who == "stranger":
        return "401"
    if route.name in OF_THE_CALL:
        return "allowed" if who in MEMBERS else "404"
    if who in TABLE[route.permission]:
        return "allowed"
    if route.permission is not Permission.ADMINISTER and route.fetch is not None and who not in TABLE[route.fetch.see]:
        return "404"
    return "403"


@pytest.mark.parametrize("who", [*sorted(EVERYBODY), NARROW])
def test_every_route_answers_as_the_table_says(world, secrets, who):
    wrong = []
    for route in ROUTES:
        answer = ask(world, route, secrets.get(who), world.parts)
        got = str(answer.status_code) if answer.status_code in {401, 403, 404} else "allowed"
        assert answer.status_code < 500, f"{route.method} {route.path} as {who}: {answer.text}"
        wanted = expected(route, "outsider" if who == NARROW else who)
        if got != wanted:
            wrong.append(f"{route.method} {route.path} as {who}: {answer.status_code}, not {wanted}")
        if route.writes and got == "allowed":
            world.restore()
    assert wrong == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_does_what_it_says_for_who_may(world, secrets, route):
    """The bodies above are good ones, but for what collides with the world itself."""
    answer = ask(world, route, secrets["administrator"], world.parts)
    refused = {
        "subscriptions_create": 422,  # names no API
        "subscriptions_switch_plan": 422,  # names no plan
        "subscriptions_withdraw": 409,  # nothing waits
        "subscribers_admit": 422,  # names no consumer
        "subscribers_assign_plan": 422,
        "consumers_move": 422,  # names no team
        "members_add": 422,  # nobody signs in so
        "plans_delete": 409,  # a subscription has it
        "releases_publish": 409,  # says what is live already
        "releases_republish": 409,
        "versions_carry": 422,  # there is no other version
        "lifecycle_retire": 409,  # is not deprecated
        "people_take_off_second_factor": 409,  # has none
        "keys_revoke_many": 422,  # names none of the team's
        "traffic_top_operations": 422,  # names no API
        "installation_examine": 409,  # no worker has run here
    }
    assert answer.status_code == refused.get(route.name, route.status), answer.text
    if answer.status_code == 201:
        assert answer.headers["Location"].startswith(f"{ROOT}/")
    if route.writes:
        world.restore()


def test_no_route_without_its_scope(world, secrets):
    with world.app.app_context():
        session = db.session()
        owner = session.get_one(Person, world.people["administrator"].id)
        narrow = {
            scope: token_of(session, owner, [each for each in Scope if each is not scope])
            for scope in {route.scope for route in ROUTES if route.scope}
        }
        session.close()
    before, open_ = rows(world, "token_use"), []
    for route in ROUTES:
        if route.scope is None:
            continue
        answer = ask(world, route, narrow[route.scope], world.parts)
        if (answer.status_code, answer.json["code"]) != (403, "scope_missing"):
            open_.append(f"{route.method} {route.path}: {answer.status_code}")
    assert open_ == []
    assert rows(world, "token_use") == before


def test_nothing_is_written_with_a_token_that_reads(world, secrets):
    asked = {route.scope for route in ROUTES if route.writes and route.permission is not Permission.PUBLIC}
    assert asked & {Scope.READ, None} == set()
    assert {route.scope for route in ROUTES if not route.writes} == {Scope.READ, Scope.ADMIN, None}


def test_things_of_another_team_are_not_found_under_ones_own(world, secrets):
    """The team in an address belongs to the thing: a member cannot reach across by changing it."""
    with world.app.app_context():
        mine = db.session.get_one(Person, world.people["outsider"].id)
        own_team = next(team.slug for team in mine.teams if not team.is_personal)
        assert db.session.scalars(select(Team).where(Team.slug == own_team)).one()
        db.session.remove()
    before, found = rows(world, "token_use"), []
    for route in ROUTES:
        names = set(re.findall(r"(\w+)>", route.path))
        if "team" not in names or names == {"team"}:
            continue
        answer = ask(world, route, secrets["outsider"], world.parts | {"team": own_team})
        if answer.status_code != 404:
            found.append(f"{route.method} {route.path}: {answer.status_code}")
    assert found == []
    assert rows(world, "token_use") == before


EXTRA = {
    **{"id": 1, "team_id": 1, "person_id": 1, "public_id": "con_aaaaaaaaaaaaaaaa", "sha256": "0" * 64},
    **{"may_publish": True, "draft_number": 99, "live_release_id": 1, "state": "approved", "fs_uniquifier": "x"},
    **{"created_at": "2001-01-01T00:00:00Z", "revoked_at": "2001-01-01T00:00:00Z", "created_by": 1, "active": True},
}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.name)
def test_a_field_that_does_not_exist_is_refused(world, secrets, route, monkeypatch):
    unlimited = replace(world.app.extensions["portico"], api_per_minute=0)
    monkeypatch.setitem(world.app.extensions, "portico", unlimited)
    before, taken = rows(world, "token_use", "throttle"), []
    for name, value in EXTRA.items():
        if name in route.body.model_fields:
            continue
        sent = orjson.dumps(BODIES[route.name] | {name: value})
        answer = world.app.test_client().open(
            address(route, world.parts),
            method=route.method,
            data=sent,
            content_type="application/json",
            headers={"Authorization": f"Bearer {secrets['administrator']}", "If-Match": "*"},
        )
        if answer.status_code != 422 or [each["field"] for each in answer.json["errors"]] != [name]:
            taken.append(f"{name}: {answer.status_code} {answer.text}")
    assert taken == []
    assert rows(world, "token_use", "throttle") == before
