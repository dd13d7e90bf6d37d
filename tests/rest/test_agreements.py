"""Who may use an API, as programs ask for it and decide it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.db import utcnow
from portal.notify.models import Notice
from portal.registry.models import Api, Consumer, Subscription
from tests import factories

SHOP = "/teams/shop/consumers/app"
USES = "/teams/cast/apis/orders/v1/subscribers"


@pytest.fixture(autouse=True)
def orders(session, cast) -> Api:
    plans = [
        factories.plan(session, team=cast.team, slug="free", name="Free"),
        factories.plan(session, team=cast.team, slug="gold", name="Gold", approval=True),
    ]
    factories.approval(session, factories.consumer(session, name="Noise"), factories.api(session, live=True))
    api = factories.api(session, team=cast.team, live=True, plans=plans, slug="orders", name="Orders")
    session.commit()
    return api


@pytest.fixture(autouse=True)
def app_(session, cast) -> Consumer:
    team = factories.team(session, owner=cast.stranger, slug="shop", may_publish=False)
    made = factories.consumer(session, team=team, slug="app", name="Web shop", contacts=["#shop"])
    session.commit()
    return made


def ask(asking, **more):
    wish = {"api": "cast/orders/v1", "plan": "gold", "purpose": "A shop.", "expected_calls": 500}
    return asking.post(f"{SHOP}/subscriptions", wish | more)


class TestAsking:
    def test_from_the_request_to_the_decision(self, program, session, cast):
        made = ask(program(cast.stranger))
        assert (made.status_code, made.json["state"], made.json["asked_plan"]) == (201, "pending", "gold")

        deciding = program(cast.publisher)
        (waiting,) = deciding.get("/approvals?state=waiting").json["items"]
        assert waiting["purpose"] == "A shop."
        assert (waiting["consumer_name"], waiting["team"], waiting["present_plan"]) == ("Web shop", "shop", None)
        one = f"/approvals/{waiting['id']}"
        approved = deciding.post(f"{one}/approve", {"until": "2099-01-01T00:00:00Z", "words": "Welcome."})
        assert (approved.status_code, approved.json["state"], approved.json["words"]) == (200, "approved", "Welcome.")
        again = deciding.post(f"{one}/reject", {"reason": "No."})
        assert (again.status_code, "has approved this request already" in again.json["detail"]) == (409, True)

        use = program(cast.stranger).get(made.headers["Location"].removeprefix("/api/v1")).json
        assert (use["state"], use["approved_until"], use["asked_plan"]) == ("approved", "2099-01-01T00:00:00Z", None)
        session.rollback()
        assert {each.event for each in session.scalars(select(Notice))} == {
            "subscription.requested",
            "subscription.approved",
        }

    def test_a_purpose_is_wanted_and_a_reason(self, program, cast):
        answer = ask(program(cast.stranger), purpose=" ")
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "purpose")
        ask(program(cast.stranger))
        deciding = program(cast.publisher)
        (waiting,) = deciding.get("/approvals").json["items"]
        answer = deciding.post(f"/approvals/{waiting['id']}/reject", {"reason": "  "})
        assert answer.status_code == 422

    def test_withdrawn_it_is_over_and_may_be_asked_anew(self, program, cast):
        asking = program(cast.stranger)
        one = ask(asking).headers["Location"].removeprefix("/api/v1")

        assert asking.post(f"{one}/withdraw").json["state"] == "ended"
        assert asking.post(f"{one}/withdraw").status_code == 409
        assert ask(asking).status_code == 201

    def test_another_plan_leaves_the_present_one(self, program, cast):
        asking = program(cast.stranger)
        one = ask(asking, plan="free").headers["Location"].removeprefix("/api/v1")

        asked = asking.post(f"{one}/plan", {"plan": "gold", "purpose": "More."}).json
        assert (asked["state"], asked["plan"], asked["asked_plan"]) == ("approved", "free", "gold")
        assert asking.post(f"{one}/plan", {"plan": "gold", "purpose": "More."}).status_code == 409
        (waiting,) = program(cast.publisher).get("/approvals?api=cast/orders/v1").json["items"]
        assert waiting["present_plan"] == "free"

    def test_nobody_decides_for_others(self, program, cast, session):
        ask(program(cast.stranger))
        session.rollback()
        assert program(cast.stranger).get("/approvals").json["items"] == []
        assert program(cast.developer).get("/approvals").json["items"] == []
        assert len(program(cast.administrator).get("/approvals").json["items"]) == 2

    def test_no_later_end_than_was_approved(self, program, cast):
        asking, deciding = program(cast.stranger), program(cast.publisher)
        one = ask(asking).headers["Location"].removeprefix("/api/v1")
        (waiting,) = deciding.get("/approvals").json["items"]
        deciding.post(f"/approvals/{waiting['id']}/approve", {"until": "2099-01-01T00:00:00Z"})

        assert asking.patch(one, {"ends_at": "2099-02-01T00:00:00Z"}).status_code == 422
        assert asking.patch(one, {"ends_at": None}).json["ends_at"] == "2099-01-01T00:00:00Z"


class TestByTheAPIsTeam:
    @pytest.fixture
    def one(self, session, app_, orders) -> str:
        use = factories.subscription(session, app_, orders)
        session.commit()
        return f"{USES}/{use.id}"

    def test_suspends_resumes_and_ends(self, program, cast, one):
        deciding = program(cast.publisher)
        suspended = deciding.post(f"{one}/suspend", {"reason": "Too many errors."}).json
        assert (suspended["state"], suspended["suspended_because"]) == ("suspended", "Too many errors.")
        assert suspended["contacts"] == ["#shop"]
        assert deciding.post(f"{one}/resume").json["state"] == "approved"
        assert deciding.delete(one).status_code == 204
        assert deciding.get(one).json["state"] == "ended"
        assert deciding.post(f"{one}/resume").status_code == 409

    def test_gives_a_plan_a_term_and_notice(self, program, cast, one):
        deciding = program(cast.publisher)
        assert deciding.put(f"{one}/plan", {"plan": "gold"}).json["plan"] == "gold"
        assert deciding.put(f"{one}/plan", {"plan": "none"}).status_code == 422
        assert deciding.put(f"{one}/term", {"until": "2099-01-01T00:00:00Z"}).json["ends_at"] == "2099-01-01T00:00:00Z"
        noticed = deciding.put(f"{one}/notice", {"ends_at": "2098-01-01T00:00:00Z"}).json
        assert noticed["noticed_at"] is not None
        assert noticed["ends_at"] == "2098-01-01T00:00:00Z"
        assert deciding.put(f"{one}/notice", {"ends_at": "2099-06-01T00:00:00Z"}).status_code == 422
        assert deciding.delete(f"{one}/notice").status_code == 204
        assert deciding.get(one).json["ends_at"] == "2099-01-01T00:00:00Z"

    def test_lets_a_consumer_in_by_its_id(self, program, session, cast):
        guest = factories.consumer(session)
        session.commit()
        deciding = program(cast.publisher)

        made = deciding.post(USES, {"consumer": guest.public_id, "plan": "gold"})

        assert (made.status_code, made.json["state"]) == (201, "approved")
        assert deciding.get(made.headers["Location"].removeprefix("/api/v1")).json == made.json
        assert deciding.post(USES, {"consumer": guest.public_id, "plan": "gold"}).status_code == 409
        assert deciding.post(USES, {"consumer": "con_none", "plan": "gold"}).status_code == 422

    def test_what_nobody_calls_is_listed(self, program, session, cast, one):
        deciding = program(cast.publisher)
        assert deciding.get("/unused-subscriptions").json["items"] == []
        for use in session.scalars(select(Subscription)):
            use.starts_at = utcnow() - timedelta(days=40)
        session.commit()

        assert [each["consumer"] for each in deciding.get("/unused-subscriptions?days=30").json["items"]] == ["app"]
        assert deciding.get("/unused-subscriptions?days=91").status_code == 422


class TestConsumers:
    def test_have_contacts_and_metadata(self, program, cast):
        asking = program(cast.stranger)
        said = {"name": "Web shop", "contacts": ["a@portico.example"], "metadata": {"squad": "checkout"}}
        changed = asking.put(SHOP, said, If_Match="*").json
        assert (changed["contacts"], changed["metadata"]) == (["a@portico.example"], {"squad": "checkout"})
        wrong = asking.put(SHOP, said | {"metadata": {"a b": "c"}}, If_Match="*")
        assert (wrong.status_code, wrong.json["errors"][0]["field"]) == (422, "metadata")

    def test_are_suspended_resumed_and_moved(self, program, session, cast):
        factories.team(session, owner=cast.stranger, slug="mobile", may_publish=False)
        session.commit()
        asking = program(cast.stranger)
        assert asking.post(f"{SHOP}/suspend").json["suspended_at"] is not None
        assert asking.post(f"{SHOP}/resume").json["suspended_at"] is None
        assert asking.post(f"{SHOP}/move", {"team": "cast"}).status_code == 422
        assert asking.post(f"{SHOP}/move", {"team": "nowhere"}).status_code == 422
        moved = asking.post(f"{SHOP}/move", {"team": "mobile", "slug": "app-2"}).json
        assert (moved["team"], moved["slug"]) == ("mobile", "app-2")
        assert asking.get(SHOP).status_code == 404
        assert asking.get("/teams/mobile/consumers/app-2").status_code == 200
