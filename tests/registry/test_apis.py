import pytest
from sqlalchemy import select

from portal import registry
from portal.errors import Changed, Conflict, Invalid, NameTaken, PathTaken
from portal.registry import revision
from portal.registry.models import Api, Mount, Release, Subscription, Visibility
from tests import factories


@pytest.fixture(autouse=True)
def _noise(session):
    """Another live API, so that a query that forgets to filter is found out."""
    factories.api(session, live=True, path="/noise/v1", host="noise.example")


class TestCreate:
    def test_a_draft_is_served_nowhere(self, session):
        api = factories.api(session, path="/orders/v1")

        assert api.state == "draft"
        assert session.scalars(select(Mount.path).where(Mount.api_id == api.id)).all() == []

    def test_it_offers_the_plans_of_its_team(self, session):
        plan = factories.plan(session)
        factories.plan(session, name="Somebody else's")

        api = registry.create_api(
            session, plan.team, slug="orders", version="v1", document=factories.document(), by=None
        )

        assert api.plans == [plan]

    def test_slug_and_version_are_taken_once_in_a_team(self, session):
        team = factories.team(session)
        factories.api(session, team=team, slug="orders", version="v1")
        factories.api(session, team=team, slug="orders", version="v2")
        factories.api(session, slug="orders", version="v1")

        with pytest.raises(NameTaken, match="already has an API orders v1"):
            factories.api(session, team=team, slug="orders", version="v1")

    @pytest.mark.parametrize(
        ("slug", "version", "fields"), [("A", "v1", {"slug"}), ("a", "V 1", {"version"}), ("", "", {"slug", "version"})]
    )
    def test_their_form_is_checked(self, session, slug, version, fields):
        with pytest.raises(Invalid) as refused:
            factories.api(session, slug=slug, version=version)

        assert set(refused.value.fields) == fields


class TestSaveDraft:
    def test_the_second_of_two_editors_is_told(self, session):
        api = factories.api(session)
        someone = factories.person(session, name="Olga")
        opened = api.draft_number
        registry.save_draft(session, api, factories.document(name="First"), by=someone, expected=opened)

        with pytest.raises(Changed, match="Olga changed First"):
            registry.save_draft(session, api, factories.document(name="Second"), by=None, expected=opened)

        assert api.name == "First"

    def test_what_is_live_stays_until_it_is_published(self, session):
        api = factories.api(session, live=True, name="Old")

        registry.save_draft(session, api, factories.document(name="New"), by=None, expected=1)

        assert api.live_release.document["name"] == "Old"
        assert api.has_unpublished_changes


class TestPublish:
    def test_releases_are_numbered(self, session):
        api = factories.api(session, live=True)
        registry.save_draft(session, api, factories.document(name="New"), by=None, expected=1)

        release = registry.publish(session, api, by=None, expected=2, note=" Renamed ")

        assert (release.number, release.note, api.live_release) == (2, "Renamed", release)
        assert session.scalars(select(Release.number).where(Release.api_id == api.id).order_by("number")).all() == [
            1,
            2,
        ]

    def test_a_draft_that_changed_meanwhile_is_not_published(self, session):
        api = factories.api(session)
        registry.save_draft(session, api, factories.document(), by=None, expected=1)

        with pytest.raises(Changed):
            registry.publish(session, api, by=None, expected=1)

    def test_publishing_the_same_again_is_refused(self, session):
        api = factories.api(session, live=True)

        with pytest.raises(Conflict, match="Nothing to publish"):
            registry.publish(session, api, by=None, expected=1)

    @pytest.mark.parametrize("path", ["/orders", "/orders/v1", "/orders/v1/more"])
    def test_a_path_that_equals_contains_or_lies_under_a_live_one_is_refused(self, session, path):
        factories.api(session, live=True, name="Orders", path="/orders/v1")
        rival = factories.api(session, path=path)

        with pytest.raises(PathTaken, match=f"{path} already belongs to Orders"):
            registry.publish(session, rival, by=None, expected=1)

        assert rival.live_release is None

    @pytest.mark.parametrize("path", ["/orders/v10", "/orders/v", "/orders/v1x", "/order", "/orders/v2", "/Orders/v1"])
    def test_neighbours_live_side_by_side(self, session, path):
        factories.api(session, live=True, path="/orders/v1")

        assert factories.api(session, live=True, path=path).state == "published"

    def test_an_underscore_is_no_wildcard(self, session):
        factories.api(session, live=True, path="/a1b/c")

        assert factories.api(session, live=True, path="/a_b").state == "published"

    def test_a_host_belongs_to_one_api(self, session):
        factories.api(session, live=True, name="Orders", host="orders.example")
        rival = factories.api(session, host="orders.example")

        with pytest.raises(PathTaken, match=r"orders\.example already belongs to Orders"):
            registry.publish(session, rival, by=None, expected=1)

    def test_its_own_old_path_is_free_for_it_and_then_for_others(self, session):
        api = factories.api(session, live=True, path="/orders/v1")
        registry.save_draft(session, api, factories.document(path="/orders/v1/inner"), by=None, expected=1)
        registry.publish(session, api, by=None, expected=2)

        assert factories.api(session, live=True, path="/orders/v1x").state == "published"
        assert session.scalars(select(Mount.path).where(Mount.api_id == api.id)).all() == ["/orders/v1/inner"]


class TestUnpublish:
    def test_the_path_is_free_again_and_subscriptions_stay(self, session):
        api = factories.api(session, live=True, path="/orders/v1")
        subscription = factories.subscription(session, factories.consumer(session), api)

        registry.unpublish(session, api)

        assert api.state == "draft"
        assert factories.api(session, live=True, path="/orders/v1").state == "published"
        assert session.get(Subscription, subscription.id) is not None


class TestPause:
    def test_pausing_a_draft_is_refused(self, session):
        with pytest.raises(Conflict, match="not published"):
            registry.pause(session, factories.api(session))

    def test_pause_and_resume(self, session):
        api = factories.api(session, live=True)

        registry.pause(session, api)
        assert api.state == "paused"

        registry.resume(session, api)
        assert api.state == "published"

    def test_it_can_be_paused_in_the_transaction_that_publishes_it(self, session):
        api = factories.api(session)

        registry.publish(session, api, by=None, expected=api.draft_number)
        registry.pause(session, api)

        assert api.state == "paused"


class TestPlans:
    def test_plans_of_another_team_cannot_be_offered(self, session):
        api = factories.api(session)

        with pytest.raises(Invalid, match="belongs to another team"):
            registry.offer_plans(session, api, [factories.plan(session, name="Foreign")])


class TestOverallLimit:
    @pytest.mark.parametrize("rate", [0, -1, 1_000_001])
    def test_it_lies_between_one_and_a_million(self, session, rate):
        api = factories.api(session)

        with pytest.raises(Invalid, match="from 1 to 1,000,000"):
            registry.limit_api(session, api, overall_per_second=rate)
        assert api.overall_per_second is None

    def test_a_new_version_has_it_too(self, session):
        api = factories.api(session, path="/v1")
        registry.limit_api(session, api, overall_per_second=5)

        assert registry.new_version(session, api, version="v9", path="/v9", by=None).overall_per_second == 5


class TestDelete:
    def test_everything_of_it_goes_and_nothing_else(self, session):
        api = factories.api(session, live=True)
        consumer = factories.consumer(session)
        factories.subscription(session, consumer, api)
        api_id = api.id

        registry.delete_api(session, api)
        session.commit()

        assert session.get(Api, api_id) is None
        assert session.scalars(select(Release.id).where(Release.api_id == api_id)).all() == []
        assert session.scalars(select(Mount.api_id)).all() != []
        assert session.scalars(select(Subscription.id).where(Subscription.api_id == api_id)).all() == []


class TestSubscribers:
    def test_ended_ones_are_not_among_them(self, session):
        api = factories.api(session, live=True)
        stays = factories.subscription(session, factories.consumer(session, name="b"), api)
        left = factories.subscription(session, factories.consumer(session, name="a"), api)
        registry.end_subscription(session, left)

        assert registry.subscribers(session, api) == [stays]


class TestRevision:
    def changes(self, session, act):
        session.commit()
        before = revision.current(session)
        act()
        session.commit()
        return revision.current(session) - before

    def test_what_nodes_must_know_makes_it_grow_once(self, session):
        api = factories.api(session, live=True)
        plan = factories.plan(session, team=api.team)
        registry.offer_plans(session, api, [plan])
        consumer = factories.consumer(session)

        def act():
            registry.subscribe(session, consumer, api, plan, by=None)
            registry.issue(session, consumer, by=None)

        assert self.changes(session, act) == 1

    def test_an_overall_limit_does_where_it_is_another_one(self, session):
        api = factories.api(session, live=True)

        assert self.changes(session, lambda: registry.limit_api(session, api, overall_per_second=5)) == 1
        assert self.changes(session, lambda: registry.limit_api(session, api, overall_per_second=5)) == 0

    def test_drafts_do_not(self, session):
        api = factories.api(session, live=True)
        document = factories.document()

        assert self.changes(session, lambda: registry.save_draft(session, api, document, by=None, expected=1)) == 0

    def test_a_savepoint_that_is_given_up_takes_nothing_back(self, session):
        api = factories.api(session, live=True)

        def act():
            registry.pause(session, api)
            session.begin_nested().rollback()

        assert self.changes(session, act) == 1

    def test_nor_does_what_was_rolled_back(self, session):
        session.commit()
        before = revision.current(session)
        factories.api(session, live=True)
        session.rollback()
        session.commit()

        assert revision.current(session) == before


class TestTakenPath:
    def test_owner_is_named_to_those_only_who_may_see_the_api(self, session):
        owner = factories.person(session)
        team = factories.team(session, owner=owner, name="Payments")
        registry.set_visibility(session, factories.api(session, team=team, live=True, path="/taken"), Visibility.TEAM)
        stranger, administrator = factories.person(session), factories.person(session, is_administrator=True)

        def refusal(by) -> str:
            with pytest.raises(PathTaken) as taken:
                registry.publish(session, factories.api(session, path="/taken/below"), by=by, expected=1)
            return str(taken.value)

        assert all("(Payments)" in refusal(by) for by in (owner, administrator, None))
        assert "belongs to another API" in refusal(stranger)
