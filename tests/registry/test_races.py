"""Two people do the same at once: one gets it, the other is told, and nothing is half done."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session, object_session

from portal import accounts, registry
from portal.accounts import Membership, Person, Role, Team
from portal.db import utcnow
from portal.errors import Changed, Conflict, InUse, NotFound, PathTaken
from portal.registry import revision, sweeping
from portal.registry.models import (
    Api,
    Approval,
    Consumer,
    Key,
    Mount,
    OpenAPIDocument,
    Plan,
    Release,
    Subscription,
    UpstreamSecret,
)
from tests import factories
from tests.registry.racing import LOST


def one(session: Session, kind: Any, slug: str) -> Any:
    return session.scalars(select(kind).where(kind.slug == slug)).one()


def save_and_publish(api: Api) -> None:
    session = object_session(api)
    assert session is not None
    document = registry.read_document(api.draft | {"description": "New."})
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)
    registry.publish(session, api, by=None, expected=api.draft_number)


def delete_team(team_id: int, session: Session) -> None:
    registry.delete_team(session, session.get_one(Team, team_id))


def publish(api_id: int) -> Callable[[Session], object]:
    return lambda session: registry.publish(session, session.get_one(Api, api_id), by=None, expected=1)


@pytest.mark.parametrize("other", ["/orders", "/orders/v1"])
def test_two_apis_want_one_path(session, at_once, other):
    first, second = factories.api(session, path="/orders"), factories.api(session, path=other)
    session.commit()
    before = revision.current(session)

    raised = at_once(publish(first.id), publish(second.id))

    session.rollback()
    assert sorted(type(error) for error in raised if error) == [PathTaken]
    assert len(session.scalars(select(Mount.path)).all()) == 1
    assert revision.current(session) == before + 1


def test_one_draft_is_published_once(session, at_once):
    api = factories.api(session)
    session.commit()

    raised = at_once(*[publish(api.id)] * 4)

    session.rollback()
    assert len([error for error in raised if error is None]) == 1
    assert session.scalars(select(Release.number)).all() == [1]


class TestRotation:
    @pytest.fixture
    def key(self, session) -> Key:
        key, _ = factories.key(session, factories.consumer(session))
        session.commit()
        return key

    @staticmethod
    def rotate(key_id: int) -> Callable[[Session], object]:
        later = utcnow() + timedelta(hours=1)
        return lambda session: registry.rotate(
            session, session.get_one(Key, key_id), by=None, stays_until=later, expires_at=None
        )

    def test_a_key_that_is_rotated_twice_at_once_has_one_successor(self, session, at_once, key):
        raised = at_once(*[self.rotate(key.id)] * 4)

        session.rollback()
        assert [type(error) for error in raised if error] == [Conflict] * 3
        assert all("is being rotated already" in str(error) for error in raised if error)
        assert len(session.scalars(select(Key).where(Key.predecessor_id == key.id)).all()) == 1

    def test_a_key_that_is_revoked_while_it_is_rotated_stays_revoked(self, session, at_once, key):
        raised = at_once(self.rotate(key.id), lambda session: registry.revoke(session, session.get_one(Key, key.id)))

        session.rollback()
        assert key.revoked_at is not None
        made = session.scalars(select(Key).where(Key.predecessor_id == key.id)).all()
        assert [type(error) for error in raised] in ([type(None)] * 2, [Conflict, type(None)])
        assert len(made) == raised.count(None) - 1
        assert all(each.revoked_at is None for each in made)


def test_one_of_two_editors_is_told(session, at_once):
    api = factories.api(session)
    session.commit()
    documents = {name: factories.document(name=name) for name in ("Olga's", "Mika's")}

    def save(name: str) -> Callable[[Session], object]:
        def act(session: Session) -> None:
            mine = session.get_one(Api, api_id)
            registry.save_draft(session, mine, documents[name], by=None, expected=1)

        return act

    api_id = api.id
    raised = at_once(*(save(name) for name in documents))

    session.rollback()
    assert [type(error) for error in raised if error] == [Changed]
    kept = [name for name, error in zip(documents, raised, strict=True) if error is None]
    assert (api.name, api.draft_number) == (kept[0], 2)


class TestDeletion:
    """Of a team, an API or a consumer while somebody else adds to it or takes from it."""

    @pytest.fixture
    def shop(self, session) -> Team:
        team = factories.team(session, slug="shop")
        plan = factories.plan(session, team=team)
        api = factories.api(session, team=team, slug="orders", live=True, plans=[plan])
        factories.subscription(session, factories.consumer(session, team=team, slug="app"), api)
        factories.consumer(session, slug="guest")
        session.commit()
        return team

    ADDITIONS: ClassVar[dict[str, Callable[[Session], object]]] = {
        "API": lambda session: factories.api(session, team=one(session, Team, "shop"), slug="new"),
        "consumer": lambda session: factories.consumer(session, team=one(session, Team, "shop"), slug="new"),
        "plan": lambda session: factories.plan(session, team=one(session, Team, "shop"), slug="new"),
        "secret": lambda session: factories.upstream_secret(session, team=one(session, Team, "shop")),
        "member": lambda session: accounts.add_member(
            session, one(session, Team, "shop"), email=factories.person(session).email, role=Role.OWNER
        ),
        "key": lambda session: factories.key(session, one(session, Consumer, "app")),
        "subscription": lambda session: factories.subscription(
            session, one(session, Consumer, "guest"), one(session, Api, "orders")
        ),
        "release": lambda session: save_and_publish(one(session, Api, "orders")),
        "rename": lambda session: accounts.rename_team(one(session, Team, "shop"), "Other"),
    }

    @pytest.mark.parametrize("addition", sorted(ADDITIONS))
    def test_of_a_team_leaves_nothing_behind_whatever_is_added(self, session, at_once, shop, addition):
        team_id = shop.id

        raised = at_once(
            lambda session: registry.delete_team(session, session.get_one(Team, team_id)), self.ADDITIONS[addition]
        )

        assert raised[0] is None
        assert raised[1] is None or isinstance(raised[1], LOST), raised[1]
        session.rollback()
        assert session.scalars(select(Team.id).where(Team.id == team_id)).all() == []
        for kind in (Api, Consumer, Plan, UpstreamSecret, Membership):
            assert session.scalars(select(kind.id).where(kind.team_id == team_id)).all() == []
        assert session.scalars(select(Subscription.id)).all() == []
        assert session.scalars(select(Mount.path)).all() == []

    def test_of_two_teams_that_use_each_others_apis(self, session, at_once):
        teams = [factories.team(session) for _ in range(2)]
        for mine, other in (teams, teams[::-1]):
            for _ in range(3):
                api = factories.api(session, team=other, live=True)
                factories.subscription(session, factories.consumer(session, team=mine), api)
        session.commit()
        numbers = [team.id for team in teams]

        raised = at_once(*(partial(delete_team, number) for number in numbers))

        session.rollback()
        assert raised == [None, None]
        assert session.scalars(select(Team.id).where(Team.id.in_(numbers))).all() == []
        assert session.scalars(select(Subscription.id)).all() == []

    def test_of_a_team_twice(self, session, at_once, shop):
        raised = at_once(*[partial(delete_team, shop.id)] * 2)

        # On SQLite the second one begins when the first has ended, and does not even find it.
        assert sum(isinstance(error, NotFound | NoResultFound) for error in raised) == 1

    def test_of_an_api_and_of_the_consumer_that_uses_it(self, session, at_once, shop):
        api_id = one(session, Api, "orders").id
        consumer_id = one(session, Consumer, "app").id
        session.rollback()

        raised = at_once(
            lambda session: registry.delete_api(session, session.get_one(Api, api_id)),
            lambda session: registry.delete_consumer(session, session.get_one(Consumer, consumer_id)),
        )

        session.rollback()
        assert raised == [None, None]
        assert session.scalars(select(Subscription.id)).all() == []


def test_a_subscription_and_a_release_at_once_do_not_stop_each_other(engine, session):
    """A subscription holds its API and then wants the revision; a publisher wants both, too."""
    api = factories.api(session, live=True)
    plan = factories.plan(session, team=api.team)
    registry.offer_plans(session, api, [plan])
    factories.consumer(session, slug="guest")
    api_id, done = api.id, []
    session.commit()

    def publisher() -> None:
        with Session(engine) as another:
            another.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            save_and_publish(another.get_one(Api, api_id))
            another.commit()
            done.append("published")

    session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
    factories.subscription(session, one(session, Consumer, "guest"), api, plan)
    thread = threading.Thread(target=publisher)
    thread.start()
    if engine.dialect.name == "postgresql":
        # The publisher has gone as far as it can without the revision.
        thread.join(0.3)
    session.commit()
    thread.join(30)

    assert done == ["published"]
    assert session.scalars(select(Release.number).order_by(Release.number)).all() == [1, 2]


def test_two_owners_cannot_dismiss_each_other_at_once(session, at_once):
    team = factories.team(session)
    factories.member(session, team, Role.OWNER)
    session.commit()
    numbers = [each.id for each in team.memberships]

    def dismiss(number: int, session: Session) -> None:
        accounts.change_role(session, session.get_one(Membership, number), Role.DEVELOPER)

    raised = at_once(*(partial(dismiss, number) for number in numbers))

    session.rollback()
    assert sorted(type(error) for error in raised if error) == [Conflict]
    roles = session.scalars(select(Membership.role).where(Membership.team_id == team.id)).all()
    assert sorted(roles) == [Role.DEVELOPER, Role.OWNER]


def test_the_last_two_owners_cannot_both_delete_their_accounts(session, at_once):
    team = factories.team(session)
    factories.member(session, team, Role.OWNER)
    factories.member(session, team, Role.DEVELOPER)
    session.commit()
    owners = [each.person_id for each in team.memberships if each.role is Role.OWNER]

    def leave(number: int, session: Session) -> None:
        registry.delete_person(session, session.get_one(Person, number))

    raised = at_once(*(partial(leave, number) for number in owners))

    session.rollback()
    assert sorted(type(error) for error in raised if error) == [InUse]
    roles = session.scalars(select(Membership.role).where(Membership.team_id == team.id)).all()
    assert sorted(roles) == [Role.DEVELOPER, Role.OWNER]


@pytest.mark.parametrize("turn", range(5))
def test_document_that_is_named_and_swept_at_once_is_named_and_there_or_neither(engine, at_once, turn):
    with Session(engine) as session:
        imported = factories.imported(session)
        digest = imported.sha256
        assert digest is not None
        session.delete(imported)
        session.get_one(OpenAPIDocument, digest).unnamed_since = utcnow() - timedelta(days=2)
        team = factories.team(session)
        session.commit()
        number = team.id

    def name(session: Session) -> None:
        factories.api(session, team=session.get_one(Team, number), slug="pets", openapi=digest)

    at_once(name, lambda session: sweeping.sweep_documents(session, [digest], now=utcnow()))

    with Session(engine) as session:
        is_named = session.scalar(select(Api.id).where(Api.slug == "pets")) is not None
        is_there = session.get(OpenAPIDocument, digest) is not None
        assert is_named == is_there


class TestAsking:
    """Of a consumer, and of those who decide about it."""

    @pytest.fixture
    def asked(self, session) -> Approval:
        api = factories.api(session, live=True, slug="orders")
        asked = factories.approval(session, factories.consumer(session, slug="app"), api)
        session.commit()
        return asked

    def decide(self, number: int, verb: Any) -> Callable[[Session], object]:
        return lambda session: verb(session, session.get_one(Approval, number), by=None, words="So be it.")

    @pytest.mark.parametrize("turn", range(3))
    def test_two_decisions_at_once_the_second_is_told(self, session, at_once, asked, turn):
        number = asked.id
        session.rollback()

        raised = at_once(self.decide(number, registry.approve), self.decide(number, registry.reject))

        session.rollback()
        assert [type(error) for error in raised if error] == [Conflict]
        state = "approved" if raised[0] is None else "rejected"
        assert f"Somebody has {state} this request already" in str(next(filter(None, raised)))
        assert (asked.state, asked.subscription.state) == (state, state)

    def test_a_decision_and_a_withdrawal_at_once_are_one_of_both(self, session, at_once, asked):
        number = asked.id
        session.rollback()

        raised = at_once(
            self.decide(number, registry.approve),
            lambda session: registry.withdraw_request(session, session.get_one(Approval, number)),
        )

        session.rollback()
        assert [type(error) for error in raised if error] == [Conflict]
        assert asked.subscription.state == ("approved" if raised[0] is None else "ended")

    def test_asking_twice_at_once_asks_once(self, session, at_once, asked):
        session.rollback()
        factories.consumer(session, slug="guest")
        session.commit()

        def ask(session: Session) -> None:
            consumer, api = one(session, Consumer, "guest"), one(session, Api, "orders")
            registry.subscribe(session, consumer, api, api.plans[0], by=None, purpose="It.")

        raised = at_once(ask, ask)

        session.rollback()
        assert [type(error) for error in raised if error] in ([Conflict], [IntegrityError])
        assert len(session.scalars(select(Approval)).all()) == 2

    @pytest.mark.parametrize("gone", ["consumer", "API", "team"])
    def test_what_is_decided_and_deleted_at_once_is_gone(self, session, at_once, asked, gone):
        number = asked.id
        api_id, consumer_id = asked.subscription.api_id, asked.subscription.consumer_id
        team_id = asked.subscription.api.team_id
        session.rollback()
        deletions: dict[str, Callable[[Session], object]] = {
            "consumer": lambda session: registry.delete_consumer(session, session.get_one(Consumer, consumer_id)),
            "API": lambda session: registry.delete_api(session, session.get_one(Api, api_id)),
            "team": partial(delete_team, team_id),
        }

        raised = at_once(self.decide(number, registry.approve), deletions[gone])

        session.rollback()
        assert raised[1] is None
        assert session.scalars(select(Approval.id)).all() == []
        assert session.scalars(select(Subscription.id)).all() == []

    def test_a_plan_is_asked_for_and_deleted_at_once(self, session, at_once, asked):
        api = asked.subscription.api
        silver = factories.plan(session, team=api.team, slug="silver", approval=True)
        registry.offer_plans(session, api, [*api.plans, silver])
        registry.approve(session, asked, by=None)
        session.commit()
        use_id = asked.subscription_id
        session.rollback()

        def ask(session: Session) -> None:
            use = session.get_one(Subscription, use_id)
            registry.switch_plan(session, use, one(session, Plan, "silver"), by=None, purpose="More.")

        raised = at_once(ask, lambda session: registry.delete_plan(session, one(session, Plan, "silver")))

        session.rollback()
        assert len([error for error in raised if error is None]) == 1
        is_there = session.scalar(select(Plan.id).where(Plan.slug == "silver")) is not None
        assert is_there == (raised[0] is None)

    def test_two_consumers_move_towards_each_others_team(self, session, at_once):
        first, second = factories.consumer(session), factories.consumer(session)
        session.commit()
        ways = [(first.id, second.team_id), (second.id, first.team_id)]
        session.rollback()

        def move(consumer_id: int, team_id: int, session: Session) -> None:
            registry.move_consumer(session, session.get_one(Consumer, consumer_id), session.get_one(Team, team_id))

        raised = at_once(*(partial(move, *way) for way in ways))

        session.rollback()
        assert raised == [None, None]
        assert (first.team_id, second.team_id) == (ways[0][1], ways[1][1])
