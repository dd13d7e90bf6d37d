import pytest

from portal import registry
from portal.registry.key_words import sentence, sentences
from portal.registry.keys import Restrictions
from tests import factories

NONE = {"read_only": False, "subscriptions": (), "operations": {}, "addresses": ()}


@pytest.mark.parametrize(
    ("less", "said"),
    [
        ({}, ""),
        ({"read_only": True}, "May only read."),
        ({"read_only": True, "addresses": ["10.0.0.0/8"]}, "May only read, from 10.0.0.0/8."),
        (
            {"addresses": ["10.0.0.0/8", "::1"]},
            "May call every API that its consumer may, from 10.0.0.0/8 and ::1 only.",
        ),
        ({"subscriptions": ["Orders v1", "Pets v2"]}, "May only call Orders v1 and Pets v2."),
        ({"read_only": True, "subscriptions": ["Orders v1"]}, "May only read Orders v1."),
        (
            {"operations": {"Pets v1": ["GET /a", "GET /b", "GET /c", "GET /d", "GET /e"]}},
            "May call every API that its consumer may, of Pets v1 only GET /a, GET /b, GET /c and 2 more.",
        ),
        (
            {"subscriptions": ["Pets v1"], "operations": {"Pets v1": ["GET /a"]}, "addresses": ["::1"]},
            "May only call Pets v1, of Pets v1 only GET /a, from ::1.",
        ),
    ],
)
def test_it_is_one_sentence(less, said):
    assert sentence(**NONE | less) == said


def test_a_subscription_that_is_over_and_one_that_is_gone_are_told(session):
    consumer = factories.consumer(session)
    over, gone, on = (
        factories.subscription(session, consumer, factories.api(session, live=True, name=name))
        for name in ("Orders", "Bills", "Pets")
    )
    chosen = frozenset({over.id, gone.id, on.id})
    key, _ = factories.key(session, consumer, restrictions=Restrictions(subscriptions=chosen))
    free, _ = factories.key(session, consumer)
    registry.end_subscription(session, over)
    registry.delete_api(session, gone.api)
    session.flush()
    session.expire_all()

    said = sentences(session, [key, free])

    assert said == {key.id: "May only call Orders v1 (ended), an API that is gone and Pets v1.", free.id: ""}
