"""A field that a form does not have changes nothing, whatever a column is called."""

import re

import pytest
from sqlalchemy import select

from portal.accounts import Membership, Person, Team
from portal.db import db
from portal.registry.models import Api, Consumer, Key, Plan, Subscription
from tests.web.attacks.pages import browser, rows

EXTRA = {
    **{"id": "1", "team_id": "1", "person_id": "1", "created_by_id": "1", "public_id": "con_aaaaaaaaaaaaaaaa"},
    **{"is_administrator": "y", "administrator": "1", "active": "0", "roles": "admin", "fs_uniquifier": "x" * 40},
    **{"password": "chosen by somebody", "email": "changed@portico.example", "created_at": "2001-01-01"},
    **{"may_publish": "1", "allowed": "1", "person": "1", "memberships": "1", "membership-0-role": "owner"},
    **{"live_release_id": "1", "live_release": "1", "draft_number": "99", "paused": "1", "schema_version": "2"},
    **{"consumer_id": "1", "api_id": "1", "plan_id": "1", "state": "approved", "sha256": "0" * 64, "key": "x"},
    **{"revoked_at": "2001-01-01", "expires_at": "2999-01-01", "upstream.tls_verify": "0", "consumer": "1"},
    **{"__class__": "Person", "_sa_instance_state": "x", "csrf_token": "x", "submit": "1", "by": "1"},
}
WATCHED = {
    Person: ("id", "email", "password", "active", "fs_uniquifier", "is_administrator", "created_at"),
    Team: ("id", "slug", "person_id", "may_publish", "created_at"),
    Membership: ("id", "team_id", "person_id", "role"),
    Api: ("id", "team_id", "slug", "version", "live_release_id", "paused"),
    Plan: ("id", "team_id", "slug"),
    Consumer: ("id", "team_id", "slug", "public_id"),
    Subscription: ("id", "consumer_id", "api_id", "plan_id", "state"),
    Key: ("id", "consumer_id", "public_id", "sha256", "revoked_at", "expires_at"),
}
"""What no form of these changes of a row that is there."""


def watched(world):
    with world.app.app_context():
        session = db.session()
        found = {
            (model.__name__, row.id): [getattr(row, name) for name in names]
            for model, names in WATCHED.items()
            for row in session.scalars(select(model))
        }
        session.close()
    return found


def document(**more):
    return {
        **{"name": "Named", "path": "/named/v1", "target_0_url": "http://127.0.0.1:1", "target_0_weight": "1"},
        **{"retries": "1", "connect_timeout": "5", "first_byte_timeout": "30", "idle_timeout": "300"},
        **{
            "body_limit": "10",
            "ways": "key",
            "key_place": "header",
            "key_name": "X-API-Key",
            "tls_verify": "y",
            "number": "1",
        },
    } | more


FORMS = {
    "settings.show": {"name": "Named"},
    "settings.rename_team": {"name": "Named"},
    "settings.new_team": {"name": "Named", "slug": "named"},
    "consumers.new": {"name": "Named", "slug": "named"},
    "consumers.edit": {"name": "Named"},
    "plans.new": {"name": "Named", "slug": "named"},
    "plans.change": {"name": "Named", "per_second": "5"},
    "apis.new": document(slug="named", version="v1"),
    "apis.save_document": document(),
}
"""Forms that make or change something, as an owner fills them in."""


@pytest.mark.parametrize("endpoint", FORMS)
def test_of_a_form_that_an_owner_sends(world, endpoint):
    rule = next(rule for rule in world.app.url_map.iter_rules(endpoint))
    address = world.app.url_map.bind("localhost").build(endpoint, {a: world.parts[a] for a in rule.arguments}, "POST")
    before, stored = watched(world), rows(world)
    own = {"team": world.parts["team"]} if endpoint.endswith(".new") else {}

    answer = browser(world, "owner").post(address, data=EXTRA | FORMS[endpoint] | own)

    assert answer.status_code == 303, answer.text
    assert rows(world) != stored, "the form itself was not taken"
    after = watched(world)
    assert {key: after[key] for key in before} == before
    for kind, id in after.keys() - before.keys():
        made = dict(zip(next(n for m, n in WATCHED.items() if m.__name__ == kind), after[kind, id], strict=True))
        assert not made.get("may_publish")
        assert not made.get("is_administrator")
        assert made.get("public_id") != EXTRA["public_id"]
        assert made.get("live_release_id") is None
    world.restore()


def test_of_the_sign_up_form(world):
    form = {"name": "Jun", "email": "jun@portico.example", "password": "correct horse battery"}
    answer = browser(world, "stranger").post("/sign-up", data=EXTRA | form)

    assert answer.status_code == 302
    with world.app.app_context():
        made = db.session.scalars(select(Person).where(Person.email == "jun@portico.example")).one()
        assert (made.is_administrator, made.active) == (False, True)
        assert made.id > 1
        assert made.fs_uniquifier != EXTRA["fs_uniquifier"]
        assert [(team.is_personal, team.may_publish) for team in made.teams] == [(True, False)]
        db.session.remove()
    world.restore()


def test_of_the_form_of_a_key(world):
    address = "/consumers/{team}/{consumer}/keys/new".format(**world.parts)
    client = browser(world, "developer")
    birth = re.search(r'name="birth"[^>]*value="([^"]+)"', client.get(address).text)[1]
    before = watched(world)

    assert client.post(address, data=EXTRA | {"birth": birth, "expires": "never"}).status_code == 201

    after = watched(world)
    assert {key: after[key] for key in before} == before
    ((_, id),) = after.keys() - before.keys()
    made = dict(zip(WATCHED[Key], after["Key", id], strict=True))
    assert (made["revoked_at"], made["expires_at"]) == (None, None)
    assert made["sha256"] != EXTRA["sha256"]
    world.restore()


@pytest.mark.parametrize("who", ["developer", "publisher", "owner"])
def test_of_a_form_that_is_for_administrators(world, who):
    before = rows(world)
    client = browser(world, who)
    for address in (
        f"/settings/teams/{world.parts['team']}/publishing",
        f"/settings/people/{world.parts['person']}/administrator",
        f"/settings/people/{world.parts['person']}/active",
        f"/settings/people/{world.parts['person']}/password",
        "/settings/people/new",
    ):
        assert client.post(address, data=EXTRA | {"name": "Jun"}).status_code == 403
    assert rows(world) == before
