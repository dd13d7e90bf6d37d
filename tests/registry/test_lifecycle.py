from datetime import timedelta

import pytest

from portal import registry
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.registry import revision
from portal.registry.models import Api, Visibility
from tests import factories


@pytest.fixture
def api(session) -> Api:
    made = factories.api(session, live=True, name="Orders", plans=[])
    registry.offer_plans(session, made, [factories.plan(session, team=made.team)])
    session.commit()
    return made


def deprecate(session, api: Api, **values) -> None:
    registry.deprecate(session, api, **{"at": utcnow(), "sunset_at": None, "successor": None, "message": ""} | values)


def grows(session, act) -> bool:
    before = revision.current(session)
    act()
    session.commit()
    return revision.current(session) > before


class TestSteps:
    def test_from_published_to_retired_and_back(self, session, api):
        states = [api.state]
        for step in (deprecate, registry.retire, registry.revive, registry.withdraw_deprecation):
            assert grows(session, lambda step=step: step(session, api))
            states.append(api.state)

        assert states == ["published", "deprecated", "retired", "deprecated", "published"]

    def test_what_callers_are_told_can_be_changed(self, session, api):
        successor = factories.api(session, live=True)
        now = utcnow()
        deprecate(session, api, at=now, message=" Use the new one. ")
        deprecate(session, api, at=now, sunset_at=now + timedelta(days=90), successor=successor)

        assert (api.deprecated_at, api.sunset_at, api.successor) == (now, now + timedelta(days=90), successor)
        assert api.deprecation_message == ""

    def test_only_what_is_published_ends(self, session):
        draft = factories.api(session)

        for act in (deprecate, registry.close, registry.retire):
            with pytest.raises(Conflict, match="is not published, so there is nothing to"):
                act(session, draft)

    def test_only_what_is_deprecated_is_retired(self, session, api):
        with pytest.raises(Conflict, match="Orders is not deprecated"):
            registry.retire(session, api)

    def test_what_is_retired_is_revived_first(self, session, api):
        deprecate(session, api)
        registry.retire(session, api)

        with pytest.raises(Conflict, match="Revive it first"):
            registry.withdraw_deprecation(session, api)

    def test_it_cannot_end_before_its_end_is_told(self, session, api):
        with pytest.raises(Invalid) as refused:
            deprecate(session, api, sunset_at=utcnow() - timedelta(days=1), successor=api, message="x" * 2001)

        assert set(refused.value.fields) == {"sunset_at", "successor", "message"}

    def test_unpublishing_begins_anew(self, session, api):
        deprecate(session, api, sunset_at=utcnow() + timedelta(days=1), successor=factories.api(session), message="m")
        registry.close(session, api)
        registry.retire(session, api)
        registry.unpublish(session, api)
        registry.publish(session, api, by=None, expected=api.draft_number)

        assert (api.state, api.closed, api.sunset_at, api.successor) == ("published", False, None, None)
        assert api.deprecation_message == ""

    def test_a_successor_that_is_deleted_is_nobodys(self, session, api):
        successor = factories.api(session, live=True)
        deprecate(session, api, successor=successor)
        session.commit()
        registry.delete_api(session, successor)
        session.commit()
        session.refresh(api)

        assert (api.state, api.successor) == ("deprecated", None)


class TestSubscribing:
    def subscribe(self, session, api: Api, by=None) -> None:
        registry.subscribe(session, factories.consumer(session), api, api.plans[0], by=by)

    def test_a_deprecated_api_takes_new_ones(self, session, api):
        deprecate(session, api)
        self.subscribe(session, api)

    def test_a_closed_api_takes_none_until_it_is_reopened(self, session, api):
        registry.close(session, api)
        with pytest.raises(Conflict, match="Orders takes no new subscriptions"):
            self.subscribe(session, api)

        registry.reopen(session, api)
        self.subscribe(session, api)

    def test_a_retired_api_takes_none(self, session, api):
        deprecate(session, api)
        registry.retire(session, api)

        with pytest.raises(Conflict, match="Orders is retired"):
            self.subscribe(session, api)

    def test_an_api_that_one_may_not_know_of_does_not_exist(self, session, api):
        registry.set_visibility(session, api, Visibility.TEAM)

        with pytest.raises(NotFound):
            self.subscribe(session, api, by=factories.person(session))
