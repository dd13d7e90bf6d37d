"""Every verb that changes something leaves an entry that says what happened."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from portal import accounts, registry, sample
from portal.accounts import Role, audit
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.registry.models import (
    Api,
    Approval,
    Category,
    Consumer,
    Key,
    Plan,
    Subscription,
    UpstreamSecret,
    Visibility,
)
from portal.vault import Vault
from tests import factories
from tests.conftest import Cast

PLAN = {"description": "", "per_second_burst": None, "per_minute": None, "per_minute_burst": None}


@dataclass
class World:
    session: Any
    cast: Cast
    plan: Plan
    api: Api
    consumer: Consumer
    subscription: Subscription
    key: Key


@pytest.fixture
def world(session, cast) -> World:
    plan = factories.plan(session, team=cast.team, slug="gold")
    api = factories.api(session, team=cast.team, live=True, plans=[plan], slug="orders")
    consumer = factories.consumer(session, team=cast.team, slug="shop")
    subscription = factories.subscription(session, consumer, api)
    key, _ = factories.key(session, consumer)
    session.commit()
    return World(session, cast, plan, api, consumer, subscription, key)


def member(world: World) -> accounts.Membership:
    return next(each for each in world.cast.team.memberships if each.person == world.cast.developer)


def draft(w: World, **values: Any) -> registry.Document:
    return registry.read_document(w.api.draft | values)


def save(w: World) -> None:
    registry.save_draft(w.session, w.api, draft(w, description="New."), by=None, expected=w.api.draft_number)


def publish(w: World) -> None:
    save(w)
    registry.publish(w.session, w.api, by=w.cast.owner, expected=w.api.draft_number, note="With words.")


def republish(w: World) -> None:
    first = next(each for each in w.api.releases if each.number == 1)
    registry.republish(w.session, w.api, first, by=None, expected=w.api.draft_number)


def deprecate(w: World) -> None:
    registry.deprecate(w.session, w.api, at=utcnow(), sunset_at=None, successor=None, message="")


def carry(w: World) -> None:
    new = registry.new_version(w.session, w.api, version="v2", path="/v2", by=None)
    w.session.flush()
    registry.publish(w.session, new, by=None, expected=1)
    registry.carry_subscriptions(w.session, w.api, new, [w.subscription], {}, by=None)


def shelf(w: World) -> Category:
    category = registry.create_category(w.session, slug="money", name="Money")
    w.session.flush()
    return category


def bury(w: World) -> None:
    w.key.revoked_at = utcnow() - timedelta(days=31)
    w.session.flush()
    registry.bury(w.session, now=utcnow())


def empty_team(w: World) -> accounts.Team:
    return factories.team(w.session, owner=w.cast.owner, slug="empty")


def unconfirmed_confirms(w: World) -> None:
    w.cast.stranger.confirmed_at = None
    w.session.flush()
    accounts.confirm(w.cast.stranger, now=utcnow())


def invite(w: World) -> accounts.Invitation:
    return accounts.invite(w.session, email="new@portico.example", by=w.cast.administrator, now=utcnow())


def secret_of(w: World) -> UpstreamSecret:
    return factories.upstream_secret(w.session, team=w.cast.team, name="token")


def invited(w: World) -> accounts.Invitation:
    invitation = invite(w)
    w.session.flush()
    return invitation


def asked(w: World) -> Approval:
    return factories.approval(w.session, factories.consumer(w.session, team=w.cast.team, slug="app"), w.api)


def another(w: World) -> Plan:
    plan = factories.plan(w.session, team=w.cast.team, slug="silver")
    registry.offer_plans(w.session, w.api, [w.plan, plan])
    return plan


def make_sample(w: World) -> None:
    sample.create(w.session, "http://127.0.0.1:7001", w.cast.administrator)
    w.session.flush()


def limit_operations(w: World) -> None:
    one = registry.OperationLimit(api=w.api, operation="show", per_minute=2)
    registry.limit_operations(w.session, w.plan, [one], taken_over=True)


def rotate(w: World) -> Key:
    made, _ = registry.rotate(w.session, w.key, by=None, stays_until=utcnow() + timedelta(hours=1), expires_at=None)
    w.session.flush()
    return made


VERBS: dict[str, tuple[Callable[[World], Any], set[tuple[str, str, str]]]] = {
    "registry.create_api": (
        lambda w: registry.create_api(
            w.session, w.cast.team, slug="bills", version="v1", document=factories.document(), by=None
        ),
        {("created", "api", "cast/bills/v1")},
    ),
    "registry.save_draft": (save, {("changed draft", "api", "cast/orders/v1")}),
    "registry.publish": (publish, {("published", "release", "cast/orders/v1 release 2")}),
    "registry.republish": (
        lambda w: (publish(w), republish(w)),
        {("published", "release", "cast/orders/v1 release 3")},
    ),
    "registry.deprecate": (deprecate, {("deprecated", "api", "cast/orders/v1")}),
    "registry.withdraw_deprecation": (
        lambda w: (deprecate(w), w.session.flush(), registry.withdraw_deprecation(w.session, w.api)),
        {("no longer deprecated", "api", "cast/orders/v1")},
    ),
    "registry.retire": (
        lambda w: (deprecate(w), w.session.flush(), registry.retire(w.session, w.api)),
        {("retired", "api", "cast/orders/v1")},
    ),
    "registry.revive": (
        lambda w: (
            deprecate(w),
            registry.retire(w.session, w.api),
            w.session.flush(),
            registry.revive(w.session, w.api),
        ),
        {("revived", "api", "cast/orders/v1")},
    ),
    "registry.limit_api": (
        lambda w: registry.limit_api(w.session, w.api, overall_per_second=5),
        {("changed overall limit", "api", "cast/orders/v1")},
    ),
    "registry.close": (lambda w: registry.close(w.session, w.api), {("closed", "api", "cast/orders/v1")}),
    "registry.reopen": (
        lambda w: (registry.close(w.session, w.api), w.session.flush(), registry.reopen(w.session, w.api)),
        {("reopened", "api", "cast/orders/v1")},
    ),
    "registry.set_visibility": (
        lambda w: registry.set_visibility(w.session, w.api, Visibility.CHOSEN, [factories.team(w.session)]),
        {("changed visibility", "api", "cast/orders/v1")},
    ),
    "registry.new_version": (
        lambda w: registry.new_version(w.session, w.api, version="v2", path="/v2", by=None),
        {("created", "api", "cast/orders/v2")},
    ),
    "registry.carry_subscriptions": (carry, {("subscribed", "subscription", "cast/shop to cast/orders/v2")}),
    "registry.pause": (lambda w: registry.pause(w.session, w.api), {("paused", "api", "cast/orders/v1")}),
    "registry.resume": (
        lambda w: (registry.pause(w.session, w.api), w.session.flush(), registry.resume(w.session, w.api)),
        {("paused", "api", "cast/orders/v1"), ("resumed", "api", "cast/orders/v1")},
    ),
    "registry.unpublish": (
        lambda w: registry.unpublish(w.session, w.api),
        {("unpublished", "api", "cast/orders/v1")},
    ),
    "registry.offer_plans": (
        lambda w: registry.offer_plans(w.session, w.api, []),
        {("changed offer", "api", "cast/orders/v1")},
    ),
    "registry.delete_api": (
        lambda w: registry.delete_api(w.session, w.api),
        {
            ("deleted", "api", "cast/orders/v1"),
            ("deleted", "release", "cast/orders/v1 release 1"),
            ("deleted", "subscription", "cast/shop to cast/orders/v1"),
        },
    ),
    "registry.create_category": (
        lambda w: registry.create_category(w.session, slug="money", name="Money"),
        {("created", "category", "money")},
    ),
    "registry.change_category": (
        lambda w: registry.change_category(w.session, shelf(w), name="Finance", description="", position=3),
        {("changed", "category", "money")},
    ),
    "registry.set_category": (
        lambda w: registry.set_category(w.session, w.api, shelf(w)),
        {("changed category", "api", "cast/orders/v1")},
    ),
    "registry.delete_category": (
        lambda w: (
            registry.set_category(w.session, w.api, it := shelf(w)),
            registry.delete_category(w.session, it),
        ),
        {("deleted", "category", "money"), ("changed category", "api", "cast/orders/v1")},
    ),
    "registry.create_plan": (
        lambda w: registry.create_plan(w.session, w.cast.team, slug="free", name="Free"),
        {("created", "plan", "cast/free")},
    ),
    "registry.change_plan": (
        lambda w: registry.change_plan(w.session, w.plan, zone=UTC, name="Gold", per_second=99, **PLAN),
        {("changed", "plan", "cast/gold")},
    ),
    "registry.limit_operations": (
        limit_operations,
        {("created", "plan_operation", "show of cast/orders/v1 under cast/gold")},
    ),
    "registry.delete_plan": (
        lambda w: (registry.delete_api(w.session, w.api), w.session.flush(), registry.delete_plan(w.session, w.plan)),
        {("deleted", "plan", "cast/gold")},
    ),
    "registry.create_consumer": (
        lambda w: registry.create_consumer(w.session, w.cast.team, slug="app", name="App"),
        {("created", "consumer", "cast/app")},
    ),
    "registry.change_consumer": (
        lambda w: registry.change_consumer(w.consumer, name="Other", description=""),
        {("changed", "consumer", "cast/shop")},
    ),
    "registry.delete_consumer": (
        lambda w: registry.delete_consumer(w.session, w.consumer),
        {
            ("deleted", "consumer", "cast/shop"),
            ("deleted", "subscription", "cast/shop to cast/orders/v1"),
            ("deleted", "key", "pco_…"),
        },
    ),
    "registry.subscribe": (
        lambda w: registry.subscribe(
            w.session, factories.consumer(w.session, team=w.cast.team, slug="app"), w.api, w.plan, by=None
        ),
        {("subscribed", "subscription", "cast/app to cast/orders/v1")},
    ),
    "registry.move_consumer": (
        lambda w: registry.move_consumer(w.session, w.consumer, factories.team(w.session, slug="mobile")),
        {("moved away", "consumer", "cast/shop"), ("moved", "consumer", "mobile/shop")},
    ),
    "registry.suspend_consumer": (
        lambda w: registry.suspend_consumer(w.session, w.consumer),
        {("suspended", "consumer", "cast/shop")},
    ),
    "registry.resume_consumer": (
        lambda w: (
            registry.suspend_consumer(w.session, w.consumer),
            w.session.flush(),
            registry.resume_consumer(w.session, w.consumer),
        ),
        {("resumed", "consumer", "cast/shop")},
    ),
    "registry.admit": (
        lambda w: registry.admit(
            w.session, factories.consumer(w.session, team=w.cast.team, slug="app"), w.api, w.plan, by=None
        ),
        {("subscribed", "subscription", "cast/app to cast/orders/v1")},
    ),
    "registry.approve": (
        lambda w: registry.approve(w.session, asked(w), by=w.cast.owner),
        {
            ("asked for", "subscription", "cast/app to cast/orders/v1"),
            ("asked", "approval", "cast/app to cast/orders/v1"),
            ("approved", "approval", "cast/app to cast/orders/v1"),
            ("approved", "subscription", "cast/app to cast/orders/v1"),
        },
    ),
    "registry.reject": (
        lambda w: registry.reject(w.session, asked(w), by=w.cast.owner, words="Not yet."),
        {
            ("rejected", "approval", "cast/app to cast/orders/v1"),
            ("rejected", "subscription", "cast/app to cast/orders/v1"),
        },
    ),
    "registry.withdraw_request": (
        lambda w: registry.withdraw_request(w.session, asked(w)),
        {
            ("withdrawn", "approval", "cast/app to cast/orders/v1"),
            ("ended", "subscription", "cast/app to cast/orders/v1"),
        },
    ),
    "registry.switch_plan": (
        lambda w: registry.switch_plan(w.session, w.subscription, another(w), by=None),
        {("changed plan", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.assign_plan": (
        lambda w: registry.assign_plan(w.session, w.subscription, another(w)),
        {("changed plan", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.grant_until": (
        lambda w: registry.grant_until(w.session, w.subscription, utcnow() + timedelta(days=1)),
        {("changed", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.set_subject": (
        lambda w: registry.set_subject(w.session, w.subscription, "alice"),
        {("changed", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.suspend_subscription": (
        lambda w: registry.suspend_subscription(w.session, w.subscription, words="Too many errors."),
        {("suspended", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.resume_subscription": (
        lambda w: (
            registry.suspend_subscription(w.session, w.subscription, words="Too many errors."),
            w.session.flush(),
            registry.resume_subscription(w.session, w.subscription),
        ),
        {("resumed", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.give_notice": (
        lambda w: registry.give_notice(w.session, w.subscription, ends_at=utcnow() + timedelta(days=1)),
        {("given notice", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.withdraw_notice": (
        lambda w: (
            registry.give_notice(w.session, w.subscription, ends_at=utcnow() + timedelta(days=1)),
            w.session.flush(),
            registry.withdraw_notice(w.session, w.subscription),
        ),
        {("notice withdrawn", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.end_due": (
        lambda w: (
            registry.grant_until(w.session, w.subscription, utcnow() + timedelta(days=1)),
            w.session.flush(),
            registry.end_due(w.session, now=utcnow() + timedelta(days=2)),
        ),
        {("ended", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.end_subscription": (
        lambda w: registry.end_subscription(w.session, w.subscription),
        {("ended", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.issue": (lambda w: registry.issue(w.session, w.consumer, by=None), {("issued", "key", "pco_…")}),
    "registry.take_over_key": (
        lambda w: registry.take_over_key(w.session, w.consumer, public_id="0123456789AB", sha256=b"s" * 32),
        {("issued", "key", "pco_…")},
    ),
    "registry.change_key": (
        lambda w: registry.change_key(w.session, w.key, label="other", expires_at=None),
        {("changed", "key", "pco_…")},
    ),
    "registry.take_over_subscription": (
        lambda w: registry.take_over_subscription(w.session, w.consumer, w.api, w.plan, ends_at=None),
        {
            ("ended", "subscription", "cast/shop to cast/orders/v1"),
            ("subscribed", "subscription", "cast/shop to cast/orders/v1"),
        },
    ),
    "registry.limit_subscription": (
        lambda w: registry.limit_subscription(w.session, w.subscription, utcnow() + timedelta(days=1)),
        {("changed", "subscription", "cast/shop to cast/orders/v1")},
    ),
    "registry.revoke": (lambda w: registry.revoke(w.session, w.key), {("revoked", "key", "pco_…")}),
    "registry.bury": (bury, {("deleted", "key", "pco_…")}),
    "registry.delete_team": (
        lambda w: registry.delete_team(w.session, empty_team(w)),
        {("deleted", "team", "empty"), ("removed", "membership", "person N in empty")},
    ),
    "registry.delete_person": (
        lambda w: registry.delete_person(w.session, w.cast.developer),
        {
            ("deleted", "person", "person N"),
            ("deleted", "team", "personal team of person N"),
            ("removed", "membership", "person N in cast"),
        },
    ),
    "accounts.create_person": (
        lambda w: accounts.create_person(w.session, email="new@portico.example", name="N", password_hash="!"),
        {("created", "person", "person N"), ("created", "team", "personal team of person N")},
    ),
    "accounts.rename_person": (
        lambda w: accounts.rename_person(w.cast.owner, "Other"),
        {("changed", "person", "person N")},
    ),
    "accounts.set_password": (
        lambda w: accounts.set_password(w.cast.owner, "another"),
        {("changed password", "person", "person N")},
    ),
    "accounts.deactivate": (
        lambda w: accounts.deactivate(w.session, w.cast.owner),
        {("deactivated", "person", "person N")},
    ),
    "accounts.activate": (
        lambda w: (accounts.deactivate(w.session, w.cast.owner), w.session.flush(), accounts.activate(w.cast.owner)),
        {("activated", "person", "person N")},
    ),
    "accounts.appoint": (lambda w: accounts.appoint(w.cast.owner), {("made administrator", "person", "person N")}),
    "accounts.dismiss": (
        lambda w: (
            accounts.appoint(w.cast.owner),
            w.session.flush(),
            accounts.dismiss(w.session, w.cast.administrator),
        ),
        {("dismissed as administrator", "person", "person N")},
    ),
    "accounts.create_team": (
        lambda w: accounts.create_team(w.session, slug="night", name="Night", owner=w.cast.owner),
        {("created", "team", "night"), ("added", "membership", "person N in night")},
    ),
    "accounts.create_personal_team": (
        lambda w: factories.person(w.session),
        {("created", "team", "personal team of person N")},
    ),
    "accounts.rename_team": (
        lambda w: accounts.rename_team(w.cast.team, "Other"),
        {("changed", "team", "cast")},
    ),
    "accounts.allow_publishing": (
        lambda w: accounts.allow_publishing(w.cast.team, False),
        {("no longer allowed to publish", "team", "cast")},
    ),
    "accounts.add_member": (
        lambda w: accounts.add_member(w.session, w.cast.team, email=w.cast.stranger.email, role=Role.OWNER),
        {("added", "membership", "person N in cast")},
    ),
    "accounts.change_role": (
        lambda w: accounts.change_role(w.session, member(w), Role.PUBLISHER),
        {("changed role", "membership", "person N in cast")},
    ),
    "accounts.remove_member": (
        lambda w: accounts.remove_member(w.session, member(w)),
        {("removed", "membership", "person N in cast")},
    ),
    "accounts.change_email": (
        lambda w: accounts.change_email(w.session, w.cast.stranger, "other@portico.example"),
        {("changed", "person", "person N")},
    ),
    "accounts.confirm": (unconfirmed_confirms, {("changed", "person", "person N")}),
    "accounts.invite": (invite, {("created", "invitation", "invitation 1")}),
    "accounts.send_anew": (
        lambda w: accounts.send_anew(invited(w), now=utcnow()),
        {("changed", "invitation", "invitation 1")},
    ),
    "accounts.withdraw": (
        lambda w: accounts.withdraw(w.session, invited(w)),
        {("deleted", "invitation", "invitation 1")},
    ),
    "accounts.accept": (
        lambda w: accounts.accept(w.session, invited(w), name="New", password_hash="h"),
        {("deleted", "invitation", "invitation 1"), ("created", "person", "person N")},
    ),
    "accounts.settle_invitation": (
        lambda w: (invited(w), accounts.settle_invitation(w.session, "New@portico.example")),
        {("deleted", "invitation", "invitation 1")},
    ),
    "registry.restrict": (
        lambda w: registry.restrict(w.session, w.key, registry.Restrictions(read_only=True)),
        {("changed", "key", "pco_…")},
    ),
    "registry.revoke_all": (
        lambda w: registry.revoke_all(w.session, [w.key], by=None),
        {("revoked", "key", "pco_…")},
    ),
    "registry.rotate": (rotate, {("issued", "key", "pco_…"), ("changed", "key", "pco_…")}),
    "registry.store_secret": (
        lambda w: factories.upstream_secret(w.session, team=w.cast.team, name="token"),
        {("created", "upstream_secret", "cast/token")},
    ),
    "registry.replace_secret": (
        lambda w: registry.replace_secret(
            w.session, secret_of(w), texts={"value": "other"}, vault=Vault(["k" * 40]), by=None
        ),
        {("changed", "upstream_secret", "cast/token")},
    ),
    "registry.delete_secret": (
        lambda w: registry.delete_secret(w.session, secret_of(w)),
        {("deleted", "upstream_secret", "cast/token")},
    ),
    "sample.create": (make_sample, {("published", "release", "sample/httpbin/v1 release 1")}),
    "sample.remove": (
        lambda w: (make_sample(w), sample.remove(w.session)),
        {
            ("deleted", "api", "sample/httpbin/v1"),
            ("deleted", "consumer", "sample/sample"),
            ("deleted", "plan", "sample/sample"),
            ("deleted", "team", "sample"),
        },
    ),
}

CHANGE_NOTHING = {
    "registry.choosable",
    "registry.limited_operations",
    "registry.limits_at",
    "registry.lineage",
    "registry.living_successor",
    "registry.operations_of",
    "registry.same_lifetime",
    # What it marks is bookkeeping.
    "registry.tell_expiring",
    "registry.belongings",
    "registry.dead",
    "registry.may_choose",
    "registry.unused_slug",
    "registry.waiting_of",
    "registry.by_team",
    "registry.departure",
    "registry.differences",
    "registry.effects",
    "registry.estate",
    "registry.facts",
    "registry.known_to",
    "registry.losing_sight",
    "registry.may_see",
    "registry.next_number",
    "registry.obstacles",
    "registry.offered",
    "registry.openapi_names",
    "registry.operation_changes",
    "registry.portable",
    "registry.require_free_name",
    "registry.refusal",
    "registry.settle_quotas",
    "registry.shown_plans",
    "registry.siblings",
    "registry.take_untold",
    "registry.takes_tokens",
    "registry.taking_tokens",
    "registry.team_may_see",
    "registry.teams_using",
    "registry.new_public_id",
    "registry.read_document",
    "registry.secrets_of",
    "registry.subscribers",
    "registry.users_of_secrets",
    "registry.visible_to",
    "registry.vacate",
    "accounts.find_invitation",
    "accounts.hold_team",
    "accounts.new_password",
    "accounts.slug_of",
    "accounts.standing",
}


def as_told(entry: AuditEntry) -> tuple[str, str, str]:
    label = re.sub(r"pco_\w+", "pco_…", re.sub(r"person \d+", "person N", entry.label))
    return entry.action, entry.kind, label


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_it_leaves_an_entry_that_says_what_happened(world, verb):
    act, wanted = VERBS[verb]
    world.session.commit()
    before = set(world.session.scalars(select(AuditEntry.id)))
    audit.act_as(world.session, audit.Actor(world.cast.owner.id, "page", "192.0.2.7"))
    act(world)
    world.session.commit()

    found = [each for each in world.session.scalars(select(AuditEntry)) if each.id not in before]
    assert wanted - set(map(as_told, found)) == set()
    assert {(each.person_id, each.by, each.address) for each in found} == {(world.cast.owner.id, "page", "192.0.2.7")}


def test_all_verbs_are_here():
    public = {
        f"{room}.{name}"
        for room, module in (("registry", registry), ("accounts", accounts))
        for name in module.__all__
        if inspect.isfunction(getattr(module, name))
    }
    assert public - CHANGE_NOTHING - VERBS.keys() == set()


def test_no_statement_changes_watched_rows_behind_the_trail():
    """A bulk UPDATE or DELETE is no change of an object, and would leave no entry."""
    watched = "|".join(model.__name__ for model in audit.watched())
    statement = re.compile(rf"\b(?:insert|update|delete)\((?:{watched})\)")
    # The time step of a code that was used decides nothing, and must be written by one statement.
    sources = sorted((Path(__file__).parent.parent.parent / "portal").rglob("*.py"))
    assert [path.name for path in sources if statement.search(path.read_text())] == ["second_factor.py"]


class TestWhatItSays:
    def last(self, world: World, action: str) -> AuditEntry:
        world.session.commit()
        chosen = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id.desc()).limit(1)
        return world.session.scalars(chosen).one()

    def test_a_publish_has_the_number_and_the_note(self, world):
        publish(world)

        changes = self.last(world, "published").changes
        assert (changes["number"], changes["note"]) == ([None, 2], [None, "With words."])

    def test_an_offer_has_the_plans_before_and_after(self, world):
        registry.offer_plans(
            world.session, world.api, [world.plan, factories.plan(world.session, team=world.cast.team, slug="free")]
        )

        assert self.last(world, "changed offer").changes == {"plans": ["gold", "free, gold"]}

    def test_a_deleted_plan_leaves_the_offers_visibly(self, world):
        free = factories.plan(world.session, team=world.cast.team, slug="free")
        registry.offer_plans(world.session, world.api, [world.plan, free])
        world.session.flush()
        registry.delete_plan(world.session, free)

        assert self.last(world, "changed offer").changes == {"plans": ["free, gold", "gold"]}

    def test_an_entry_knows_whose_thing_it_was(self, world):
        registry.revoke(world.session, world.key)
        registry.delete_consumer(world.session, world.consumer)

        assert {self.last(world, word).team_id for word in ("revoked", "deleted", "published")} == {world.cast.team.id}

    def test_a_row_that_left_its_list_is_told_as_deleted(self, world):
        label = f"pco_{world.key.public_id}"
        world.consumer.keys.remove(world.key)

        assert self.last(world, "deleted").label == label

    def test_personal_teams_give_away_neither_name_nor_address(self, world):
        person = factories.person(world.session, name="Quirin Quelle", email="quirin@portico.example")
        factories.consumer(world.session, team=person.teams[0], slug="shop")
        accounts.rename_team(person.teams[0], "Quelle and daughters")
        world.session.commit()

        told = [f"{each.label} {each.changes}" for each in world.session.scalars(select(AuditEntry))]
        assert [each for each in told if "uirin" in each or "Quelle" in each] == []
