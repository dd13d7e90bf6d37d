"""Plans with quotas, terms and chosen teams; what is used of them; whom other limits would refuse."""

import pytest

from portal.db import utcnow
from portal.registry.models import Plan, QuotaUse, Subscription
from tests import factories

PLAN = {
    "name": "Gold",
    "per_second": 10,
    "quota_day": 100,
    "quota_month": 2000,
    "approval": True,
    "terms": "# Be kind",
    "price": "10 EUR a month",
    "public": False,
    "chosen": ["guests"],
}


@pytest.fixture
def guests(session, cast):
    team = factories.team(session, owner=cast.stranger, slug="guests")
    session.commit()
    return team


@pytest.fixture
def subscription(session, cast) -> Subscription:
    plan = factories.plan(session, team=cast.team, slug="gold", per_second=None, per_minute=None, quota_day=100)
    api = factories.api(session, team=cast.team, live=True, plans=[plan], slug="orders")
    found = factories.subscription(session, factories.consumer(session, team=cast.team, slug="shop"), api)
    session.add(QuotaUse(subscription_id=found.id, day=utcnow().date(), calls=60))
    session.commit()
    return found


def test_a_plan_is_made_and_changed_as_a_whole(program, cast, guests):
    publisher = program(cast.publisher)

    made = publisher.post("/teams/cast/plans", PLAN | {"slug": "gold"})
    assert made.status_code == 201, made.text
    assert PLAN.items() <= made.json.items()

    changed = publisher.put("/teams/cast/plans/gold", {"name": "Gold"})
    assert changed.status_code == 200, changed.text
    assert (changed.json["quota_day"], changed.json["public"], changed.json["chosen"]) == (None, True, [])


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"quota_day": 0}, "quota_day"),
        ({"quota_day": 9000}, "quota_day"),
        ({"chosen": ["nobody"]}, "chosen"),
        ({"price": "x" * 121}, "price"),
    ],
)
def test_what_makes_no_sense_is_refused(program, cast, guests, sent, field):
    answer = program(cast.publisher).post("/teams/cast/plans", PLAN | {"slug": "gold"} | sent)

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, [field])


def test_quotas_of_a_subscription(program, cast, subscription):
    path = f"/teams/cast/consumers/shop/subscriptions/{subscription.id}/quotas"
    answer = program(cast.developer).get(path)

    assert answer.status_code == 200, answer.text
    (day,) = answer.json["items"]
    assert (day["period"], day["calls"], day["used"], day["runs_out"]) == ("day", 100, 60, None)
    assert (answer.json["timezone"], answer.json["blocked_until"]) == ("UTC", None)
    assert program(cast.stranger).get(path).status_code == 404


def test_a_lowered_quota_blocks_at_once_and_what_if_said_whom(program, session, cast, subscription):
    publisher = program(cast.publisher)

    told = publisher.get("/teams/cast/plans/gold/what-if?quota_day=50")
    assert told.status_code == 200, told.text
    assert (told.json["subscriptions"], told.json["refused_count"], told.json["perhaps"]) == (1, 1, [])
    (it,) = told.json["refused"]
    assert (it["consumer"], it["calls"], it["refused_at_least"], it["refused_at_most"]) == ("shop", 60, 10, 10)
    assert it["rules"] == [{"rule": "quota_day", "judged_by": "day", "times": 1, "highest": 60}]
    session.rollback()
    assert session.get_one(Plan, subscription.plan_id).quota_day == 100

    assert publisher.put("/teams/cast/plans/gold", {"name": "Gold", "quota_day": 50}).status_code == 200
    session.rollback()
    assert subscription.blocked_until.isoformat() == it["blocked_until"].replace("Z", "+00:00")
    assert publisher.get("/teams/cast/plans/gold/what-if?quota_day=0").status_code == 422
    assert program(cast.developer).get("/teams/cast/plans/gold/what-if").status_code == 403


def test_who_names_no_plan_gets_the_default(program, session, cast, subscription):
    free = factories.plan(session, team=cast.team, slug="free")
    factories.consumer(session, team=cast.team, slug="app")
    session.commit()
    publisher = program(cast.publisher)
    offer = publisher.put("/teams/cast/apis/orders/v1/plans", {"plans": ["gold", "free"]})
    assert (offer.status_code, offer.json["default_plan"]) == (200, None)
    wish = {"api": "cast/orders/v1"}
    refused = publisher.post("/teams/cast/consumers/app/subscriptions", wish)
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "plan")

    offer = publisher.put("/teams/cast/apis/orders/v1/plans", {"plans": ["gold", "free"], "default": "free"})
    assert offer.json["default_plan"] == free.slug
    assert publisher.post("/teams/cast/consumers/app/subscriptions", wish).json["plan"] == "free"
    alone = publisher.put("/teams/cast/apis/orders/v1/plans", {"plans": ["gold"], "default": "free"})
    assert (alone.status_code, alone.json["errors"][0]["field"]) == (422, "default")


def test_a_plan_for_chosen_teams_is_no_plan_for_others(program, session, cast, guests, subscription):
    program(cast.publisher).put("/teams/cast/plans/gold", PLAN | {"approval": False})
    factories.consumer(session, team=cast.stranger.teams[0], slug="own")
    factories.consumer(session, team=guests, slug="ours")
    mine = cast.stranger.teams[0].slug
    session.commit()
    stranger, wish = program(cast.stranger), {"api": "cast/orders/v1", "plan": "gold"}

    refused = stranger.post(f"/teams/{mine}/consumers/own/subscriptions", wish)
    assert (refused.status_code, refused.json["errors"][0]["detail"]) == (
        422,
        f"{subscription.api.name} does not offer you the plan gold. It offers you none.",
    )
    assert stranger.post("/teams/guests/consumers/ours/subscriptions", wish).status_code == 201
