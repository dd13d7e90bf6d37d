"""What a team owns, and what happens to it when the team is deleted."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Membership, Team
from portal.accounts.audit import AuditEntry
from portal.db import Base
from portal.errors import Conflict, NotFound
from portal.gateway.read import read_snapshot
from portal.registry import revision
from portal.registry.models import Api, Consumer, Key, Mount, Plan, Release, Subscription, UpstreamSecret, api_plan
from tests import factories


@pytest.fixture
def shop(session) -> Team:
    """A team with one of everything, tied to another one in both ways; beside things of others."""
    factories.key(session, factories.consumer(session))
    other = factories.team(session, slug="other", name="Other")
    team = factories.team(session, slug="shop", name="Shop")
    secret = factories.upstream_secret(session, team=team, name="token")
    upstream = {
        "targets": [{"url": "http://orders.example"}],
        "credential": {"kind": "header", "secret": secret.name, "header": "X-Token"},
    }
    plan = factories.plan(session, team=team, slug="gold")
    orders = factories.api(
        session, team=team, live=True, slug="orders", path="/orders", name="Orders", upstream=upstream, plans=[plan]
    )
    factories.api(session, team=team, slug="bills")
    factories.channel(session, team=team, name="room")
    own = factories.consumer(session, team=team, slug="app")
    factories.key(session, own)
    factories.subscription(session, own, orders)
    theirs = factories.api(session, team=other, live=True, slug="theirs")
    factories.subscription(session, own, theirs)
    guest = factories.consumer(session, team=other, slug="depot", name="Depot")
    factories.key(session, guest)
    factories.subscription(session, guest, orders)
    registry.end_subscription(session, factories.subscription(session, factories.consumer(session), orders))
    session.commit()
    return team


def owned_by_nobody(session: Session) -> list[str]:
    """Rows that refer to something which is not there: the databases refuse them, if they are asked to."""
    found = []
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            dangling = select(func.count()).where(key.parent.is_not(None), key.parent.not_in(select(key.column)))
            if session.scalar(dangling):
                found.append(str(key.parent))
    return found


def test_everything_it_owns_goes_and_nothing_else(session, shop):
    before, number = revision.current(session), shop.id
    registry.delete_team(session, shop)
    session.commit()

    assert session.scalars(select(Team.slug).where(Team.slug == "shop")).all() == []
    assert session.scalars(select(Membership).where(Membership.team_id == number)).all() == []
    assert session.scalars(select(Api.slug)).all() == ["theirs"]
    assert session.scalars(select(Mount.api_id)).all() == [session.scalars(select(Api.id)).one()]
    assert len(session.scalars(select(Release)).all()) == 1
    assert session.scalars(select(Plan.slug).where(Plan.slug == "gold")).all() == []
    assert session.scalars(select(UpstreamSecret)).all() == []
    assert session.scalars(select(Subscription)).all() == []
    assert "app" not in session.scalars(select(Consumer.slug)).all()
    assert len(session.scalars(select(Key)).all()) == 2
    assert len(session.execute(select(api_plan)).all()) == len(session.scalars(select(Plan)).all()) == 1
    assert owned_by_nobody(session) == []
    assert revision.current(session) == before + 1
    snapshot = read_snapshot(session.connection())
    assert [api.label for api in snapshot.apis] == ["other/theirs/v1"]
    assert len(snapshot.keys) == 2


def test_each_thing_is_told_in_the_trail_by_its_word(session, shop):
    last = session.scalar(select(func.max(AuditEntry.id)))
    registry.delete_team(session, shop)
    session.commit()

    told = session.execute(select(AuditEntry.action, AuditEntry.kind, AuditEntry.label).where(AuditEntry.id > last))
    assert {tuple(each) for each in told} >= {
        ("unpublished", "api", "shop/orders/v1"),
        ("deleted", "api", "shop/orders/v1"),
        ("deleted", "api", "shop/bills/v1"),
        ("deleted", "release", "shop/orders/v1 release 1"),
        ("deleted", "subscription", "other/depot to shop/orders/v1"),
        ("deleted", "subscription", "shop/app to other/theirs/v1"),
        ("deleted", "consumer", "shop/app"),
        ("deleted", "plan", "shop/gold"),
        ("deleted", "upstream_secret", "shop/token"),
        ("deleted", "channel", "shop/room"),
        ("deleted", "team", "shop"),
    }


def test_the_estate_says_beforehand_what_goes(session, shop):
    found = registry.estate(session, shop)

    assert [api.slug for api in found.apis] == ["orders", "bills"]
    assert [each.slug for each in (*found.consumers, *found.plans)] == ["app", "gold"]
    assert [secret.name for secret in found.secrets] == ["token"]
    assert [channel.name for channel in found.channels] == ["room"]
    assert [each.consumer.slug for each in found.guests] == ["depot"]


def test_says_whom_it_takes_something_from(session, shop):
    (loss,) = registry.delete_team(session, shop)

    assert (loss.team.slug, loss.uses) == ("other", [("Depot", "Orders v1")])


def test_an_api_that_is_deleted_alone_says_so_too(session, shop):
    orders = session.scalars(select(Api).where(Api.slug == "orders")).one()
    (loss,) = registry.delete_api(session, orders)

    assert (loss.team.slug, loss.uses) == ("other", [("Depot", "Orders v1")])


def test_a_team_that_owns_nothing_goes_alone(session, shop):
    team = factories.team(session)
    session.commit()

    assert registry.delete_team(session, team) == []
    session.commit()
    assert session.scalars(select(Team.slug).where(Team.id == team.id)).all() == []
    assert len(session.scalars(select(Api)).all()) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda session, team: factories.api(session, team=team),
        lambda session, team: factories.consumer(session, team=team),
        lambda session, team: factories.plan(session, team=team),
        lambda session, team: factories.upstream_secret(session, team=team),
        lambda session, team: factories.channel(session, team=team),
        lambda session, team: session.delete(session.scalars(select(UpstreamSecret)).one()),
        lambda session, team: registry.unpublish(session, session.scalars(select(Api).join(Mount)).first()),
        lambda session, team: registry.end_subscription(
            session, session.scalars(select(Subscription).join(Consumer).where(Consumer.slug == "depot")).one()
        ),
    ],
    ids=["API", "consumer", "plan", "secret", "channel", "secret gone", "unpublished", "subscription ended"],
)
def test_what_changed_since_it_was_looked_at_stops_it(session, shop, change):
    seen = registry.estate(session, shop).mark
    assert registry.estate(session, shop).mark == seen
    change(session, shop)
    session.flush()

    with pytest.raises(Conflict, match="has changed since you opened this page"):
        registry.delete_team(session, shop, expected=seen)


def test_a_personal_team_stays(session):
    with pytest.raises(Conflict, match="personal"):
        registry.delete_team(session, factories.person(session).teams[0])


def test_is_deleted_once(session, shop, engine):
    with Session(engine) as another:
        registry.delete_team(another, another.get_one(Team, shop.id))
        another.commit()
    session.rollback()

    with pytest.raises(NotFound, match="meanwhile"):
        registry.delete_team(session, shop)
