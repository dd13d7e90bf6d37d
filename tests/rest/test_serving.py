"""What If-Match is compared with is read under a lock, on both databases."""

import pytest
from sqlalchemy import delete

from portal.accounts import Membership
from portal.errors import NotFound
from portal.registry.models import Key, Subscription
from portal.rest import keys, members, subscriptions
from portal.rest.serving import etag_of
from tests import factories
from tests.registry.conftest import engine, postgres_engine, postgres_schema

__all__ = ["engine", "postgres_engine", "postgres_schema"]


@pytest.fixture(params=[Membership, Key, Subscription], ids=lambda kind: kind.__name__)
def held(request, session):
    """A thing, and the room that serves it."""
    consumer = factories.consumer(session)
    things = {
        Membership: (consumer.team.memberships[0], members),
        Key: (factories.key(session, consumer)[0], keys),
        Subscription: (factories.subscription(session, consumer, factories.api(session, live=True)), subscriptions),
    }
    session.commit()
    return things[request.param]


def test_the_state_is_that_of_the_row(session, held):
    thing, room = held

    shown = keys._state_of if room is keys else room.shown
    assert room._state(session, thing) == etag_of(shown(thing))


def test_a_row_that_is_gone_by_then_is_not_found(session, held):
    thing, room = held
    session.execute(
        delete(type(thing)).where(type(thing).id == thing.id), execution_options={"synchronize_session": False}
    )

    with pytest.raises(NotFound):
        room._state(session, thing)
