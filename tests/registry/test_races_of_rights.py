"""A right is used, changed or taken away while somebody else does something to what it rests on."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.db import utcnow
from portal.errors import Conflict
from portal.registry.models import Api, Approval, Consumer, Key, Plan, Subscription
from tests import factories


@pytest.mark.parametrize("turn", range(3))
def test_a_plan_is_subscribed_to_and_deleted_at_once(session, at_once, turn):
    """The database's own reference decides where both have looked before either has written."""
    api = factories.api(session, live=True)
    plan = factories.plan(session, team=api.team)
    registry.offer_plans(session, api, [plan])
    consumer = factories.consumer(session)
    session.commit()
    api_id, plan_id, consumer_id = api.id, plan.id, consumer.id
    session.rollback()

    def subscribe(session: Session) -> None:
        found = session.get_one(Api, api_id)
        registry.subscribe(
            session, session.get_one(Consumer, consumer_id), found, session.get_one(Plan, plan_id), by=None
        )

    raised = at_once(subscribe, lambda session: registry.delete_plan(session, session.get_one(Plan, plan_id)))

    session.rollback()
    assert len([error for error in raised if error is None]) == 1
    is_there = session.scalar(select(Plan.id).where(Plan.id == plan_id)) is not None
    is_used = session.scalar(select(Subscription.id)) is not None
    assert is_there == is_used == (raised[0] is None)


@pytest.mark.parametrize("turn", range(3))
def test_an_api_is_retired_while_a_request_for_it_is_approved(session, at_once, turn):
    """Either way nobody calls a retired API, and its subscriptions stay for when it is revived."""
    api = factories.api(session, live=True)
    asked = factories.approval(session, factories.consumer(session), api)
    registry.deprecate(session, api, at=utcnow(), sunset_at=None, successor=None, message="")
    session.commit()
    api_id, number = api.id, asked.id
    session.rollback()

    raised = at_once(
        lambda session: registry.approve(session, session.get_one(Approval, number), by=None),
        lambda session: registry.retire(session, session.get_one(Api, api_id)),
    )

    session.rollback()
    assert raised[1] is None
    assert raised[0] is None or (isinstance(raised[0], Conflict) and "is retired" in str(raised[0]))
    assert api.retired_at is not None
    assert asked.subscription.state == ("approved" if raised[0] is None else "pending")


class TestSuccessor:
    """Of a rotation that is undone while it is rotated on."""

    @pytest.fixture
    def keys(self, session) -> tuple[Key, Key]:
        key, _ = factories.key(session, factories.consumer(session))
        soon = utcnow() + timedelta(hours=1)
        successor, _ = registry.rotate(session, key, by=None, stays_until=soon, expires_at=None)
        session.commit()
        return key, successor

    @staticmethod
    def rotate(key_id: int) -> Callable[[Session], object]:
        soon = utcnow() + timedelta(hours=1)
        return lambda session: registry.rotate(
            session, session.get_one(Key, key_id), by=None, stays_until=soon, expires_at=None
        )

    @pytest.mark.parametrize("turn", range(3))
    def test_the_first_key_comes_back_only_if_nothing_came_after_the_second(self, session, at_once, keys, turn):
        first, second = keys
        soon, number = first.expires_at, second.id
        session.rollback()

        raised = at_once(self.rotate(number), lambda session: registry.revoke(session, session.get_one(Key, number)))

        session.rollback()
        assert raised[1] is None
        assert second.revoked_at is not None
        assert [type(raised[0])] in ([type(None)], [Conflict])
        third = registry.living_successor(session, second)
        assert (third is None) == (raised[0] is not None)
        assert first.expires_at == (None if third is None else soon)

    @pytest.mark.parametrize("turn", range(3))
    def test_both_revoked_at_once_stay_revoked(self, session, at_once, keys, turn):
        numbers = [key.id for key in keys]
        session.rollback()

        def revoke(number: int) -> Callable[[Session], object]:
            return lambda session: registry.revoke(session, session.get_one(Key, number))

        assert at_once(*map(revoke, numbers)) == [None, None]

        session.rollback()
        assert all(key.revoked_at is not None for key in keys)
