"""Every route against every member of the cast: what is answered follows from the table of who may do what."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from portal import accounts, create_app, notify, registry
from portal.accounts import Permission, Role
from portal.accounts.tokens import Scope
from portal.config import Config
from portal.db import db, utcnow
from portal.notify import channels
from portal.notify.models import DeliveryState, Notice, NoticeCopy
from portal.vault import Vault
from portal.web.guards import permission_of
from tests import factories
from tests.conftest import sign_in
from tests.web import logged

EVERYBODY = {"stranger", "outsider", "developer", "publisher", "owner", "administrator"}
SIGNED_IN = EVERYBODY - {"stranger"}
MEMBERS = SIGNED_IN - {"outsider"}
PUBLISHERS = MEMBERS - {"developer"}

TABLE = {
    Permission.PUBLIC: EVERYBODY,
    Permission.SIGNED_IN: SIGNED_IN,
    Permission.SEE_CATALOGUE: SIGNED_IN,
    Permission.MANAGE_CONSUMERS: MEMBERS,
    Permission.SEE_APIS: MEMBERS,
    Permission.SEE_TEAM: MEMBERS,
    Permission.MANAGE_APIS: PUBLISHERS,
    Permission.DECIDE: PUBLISHERS,
    Permission.SEE_API_CALLS: PUBLISHERS,
    Permission.MANAGE_TEAM: PUBLISHERS - {"publisher"},
    Permission.ADMINISTER: {"administrator"},
}
"""Who may, by permission. A stranger is not signed in; an outsider is, and belongs to other teams only."""

OF_THE_CALL = {"calls.show"}
"""Open to all who have signed in, and then looks whose call it is: nobody else may know of it."""

OF_ONESELF = {"access_tokens.revoke", "notices.open_one", "notices.mark"}
"""The same, and for its owner only: administrators reach nobody's."""

MADE_IN_A_TEAM = {"apis.new", "imports.new", "plans.new"}
"""Their pages explain to everybody what is needed; what they send needs a team that may publish, and a role in it."""
IN_SUCH_A_TEAM = {"outsider", "publisher", "owner"}


@dataclass(frozen=True)
class World:
    app: Flask
    kept: Path
    """A copy of the database as it was made."""
    parts: dict[str, Any]
    """What stands in addresses."""
    people: dict[str, Any]

    def restore(self) -> None:
        with self.app.app_context():
            db.engine.dispose()
        database = self.app.extensions["portico"].data_dir / "portico.sqlite3"
        for beside in ("-wal", "-shm"):
            database.with_name(database.name + beside).unlink(missing_ok=True)
        shutil.copy(self.kept, database)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> World:
    """One of each thing, all of one team."""
    folder = tmp_path_factory.mktemp("permissions")
    config = Config(data_dir=folder / "var", upstream_loopback=True, confirm_email=True)
    config.data_dir.mkdir(mode=0o700)
    shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
    app = create_app(config, overrides={"TESTING": True})
    with app.app_context():
        session = db.session()
        owner = factories.person(session)
        team = factories.team(session, owner=owner)
        publisher, developer = (factories.member(session, team, role) for role in (Role.PUBLISHER, Role.DEVELOPER))
        other = factories.member(session, team, Role.DEVELOPER)
        outsider = factories.person(session)
        factories.team(session, owner=outsider)
        administrator = factories.person(session, is_administrator=True)
        plan = factories.plan(session, team=team)
        api = factories.api(
            session,
            team=team,
            live=True,
            plans=[plan],
            upstream={"targets": [{"url": "http://127.0.0.1:1"}]},
            authentication={"key": True, "jwt": {"issuer": "login", "jwks_url": "https://login.example/jwks"}},
            openapi=factories.openapi_document(session),
        )
        consumer = factories.consumer(session, team=team)
        subscription = factories.subscription(session, consumer, api)
        key, _ = factories.key(session, consumer)
        asks = factories.approval(session, factories.consumer(session, team=team), api)
        category = registry.create_category(session, slug="shelf", name="Shelf")
        invitation = accounts.invite(session, email="invited@portico.example", by=administrator, now=utcnow())
        secret = factories.upstream_secret(session, team=team)
        imported = factories.imported(session, team=team)
        channel = factories.channel(session, team=team, vault=Vault.of(config))
        session.flush()
        delivery = channels.test(session, channel, by=owner)
        delivery.state = DeliveryState.DELIVERED
        notify.tell(session, "key.expiring", teams=[team], subject="A key expires", text="Soon.", link="/consumers")
        session.commit()
        notify.spread(config, {"notices": session.scalars(select(Notice.id)).all(), "but": None})
        copy = session.scalars(select(NoticeCopy).where(NoticeCopy.person_id == owner.id)).one()
        now = utcnow()
        ends = now + accounts.tokens.LASTS
        access_token, _ = accounts.tokens.make(
            session, owner, label="script", scopes=[Scope.READ], expires_at=ends, now=now
        )
        session.commit()
        call = logged.line(api, consumer, key)
        parts = {
            "team": team.slug,
            "slug": api.slug,
            "version": api.version,
            "number": 1,
            "plan": plan.slug,
            "category": category.slug,
            "consumer": consumer.slug,
            "subscription": subscription.id,
            "approval": asks.id,
            "key": key.public_id,
            "secret": secret.name,
            "import_id": imported.id,
            "kind": "basic",
            "member": next(each.id for each in team.memberships if each.person is other),
            "person": other.id,
            "invitation": invitation.id,
            "token": "of-nobody",
            "channel": channel.name,
            "delivery": delivery.id,
            "notice_copy": copy.id,
            "sign_in": 1,
            "access_token": access_token.public_id,
            "rest_operation": "teams_index",
            "rest_schema": "Problem",
            "rest_part": "components/headers/ETag",
            "request_id": logged.id_of(call),
            "operation": "show",
            "schema": "Pet",
            "part": "components/schemas/Pet/properties/id",
            "filename": "tokens.css",
            "name": "rds/rds.json",
        }
        people = {
            "stranger": None,
            "outsider": outsider,
            "developer": developer,
            "publisher": publisher,
            "owner": owner,
            "administrator": administrator,
        }
        for person in filter(None, people.values()):
            session.refresh(person)
            session.expunge(person)
        session.close()
        logged.store(db.engine, folder, call)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
    kept = folder / "kept.sqlite3"
    shutil.copy(config.data_dir / "portico.sqlite3", kept)
    return World(app, kept, parts, people)


def _requests(app: Flask) -> list[tuple[Rule, str]]:
    """Of pages; `tests/rest/test_permissions.py` walks the REST API."""
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        if not rule.rule.startswith("/api/")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _address(world: World, rule: Rule) -> str:
    with world.app.test_request_context():
        built = world.app.url_map.bind("localhost").build(rule.endpoint, {a: world.parts[a] for a in rule.arguments})
    return str(built)


def _expected(world: World, rule: Rule, method: str, who: str) -> str:
    """A status, or `allowed` for any that is not a refusal."""
    permission = permission_of(world.app, rule.endpoint)
    assert permission is not None
    if permission is Permission.PUBLIC:
        return "allowed"
    if who == "stranger":
        return "303" if method == "GET" else "401"
    if rule.endpoint in OF_THE_CALL:
        return "allowed" if who in MEMBERS else "404"
    if rule.endpoint in OF_ONESELF:
        return "allowed" if who == "owner" else "404"
    if rule.endpoint in MADE_IN_A_TEAM and method == "POST":
        return "allowed" if who in IN_SUCH_A_TEAM else "403"
    if who in TABLE[permission]:
        return "allowed"
    fetch = getattr(world.app.view_functions[rule.endpoint], "portico_fetch", None)
    if permission is not Permission.ADMINISTER and fetch is not None and who not in TABLE[fetch.see]:
        return "404"
    return "403"


@pytest.mark.parametrize("who", sorted(EVERYBODY))
def test_every_route_answers_as_the_table_says(world, who):
    world.app.config["WTF_CSRF_ENABLED"] = False
    wrong = []
    for rule, method in _requests(world.app):
        client = world.app.test_client()
        client.environ_base["HTTP_ACCEPT"] = "text/html"
        answer = sign_in(client, world.people[who]).open(_address(world, rule), method=method)
        got = str(answer.status_code) if answer.status_code in {401, 403, 404} else "allowed"
        answer.close()
        if answer.status_code == 303 and answer.location.startswith("/sign-in?next="):
            got = "303"
        assert answer.status_code < 500, f"{method} {rule} as {who}: {answer.text}"
        if got != (expected := _expected(world, rule, method, who)):
            wrong.append(f"{method} {rule} as {who}: {answer.status_code} instead of {expected}")
        if method != "GET" and got == "allowed":
            world.restore()
    assert wrong == []


def test_every_route_declares_a_permission(world):
    undeclared = {
        rule.endpoint for rule in world.app.url_map.iter_rules() if permission_of(world.app, rule.endpoint) not in TABLE
    }
    assert undeclared == set()


def test_every_form_is_refused_without_its_token(world):
    world.app.config["WTF_CSRF_ENABLED"] = True
    taken = []
    for rule, method in _requests(world.app):
        if method == "GET":
            continue
        for who in ("stranger", "administrator"):
            client = sign_in(world.app.test_client(), world.people[who])
            if client.open(_address(world, rule), method=method).status_code != 400:
                taken.append(f"{method} {rule} as {who}")
    assert taken == []


def test_things_of_another_team_are_not_found_under_ones_own(world):
    """The team in an address belongs to the thing: a member cannot reach across by changing it."""
    with world.app.app_context():
        session = db.session()
        mine = world.people["outsider"]
        own_team = next(m.team.slug for m in session.merge(mine).memberships if not m.team.is_personal)
        session.close()
    client = sign_in(world.app.test_client(), mine)
    parts = world.parts | {"team": own_team}
    found = []
    for rule, method in _requests(world.app):
        # A kind is no thing of anybody's.
        if method != "GET" or "team" not in rule.arguments or rule.arguments - {"kind"} == {"team"}:
            continue
        with world.app.test_request_context():
            url = world.app.url_map.bind("localhost").build(rule.endpoint, {a: parts[a] for a in rule.arguments})
        if client.get(url).status_code != 404:
            found.append(str(rule))
    assert found == []
