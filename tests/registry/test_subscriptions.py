"""How subscriptions begin, what they are held to, how they end."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.errors import Conflict, InUse, Invalid, NameTaken
from portal.registry import revision
from portal.registry.models import ApprovalState, Consumer, Subscription, SubscriptionState
from portal.registry.subscriptions import LONGEST_WORDS
from tests import factories

SOON, LATER = timedelta(days=10), timedelta(days=30)


@pytest.fixture
def api(session):
    team = factories.team(session, name="Payments")
    free, gold = (
        factories.plan(session, team=team, name="Free"),
        factories.plan(session, team=team, name="Gold", approval=True),
    )
    api = factories.api(session, team=team, live=True, name="Orders", plans=[free, gold])
    factories.approval(session, factories.consumer(session), api, plan=gold)  # noise
    return api


@pytest.fixture
def free(api):
    return next(plan for plan in api.plans if plan.name == "Free")


@pytest.fixture
def gold(api):
    return next(plan for plan in api.plans if plan.name == "Gold")


@pytest.fixture
def shop(session) -> Consumer:
    return factories.consumer(session, name="Shop")


@pytest.fixture
def use(session, shop, api, free) -> Subscription:
    return factories.subscription(session, shop, api, free)


@pytest.fixture
def asked(session, shop, api, gold):
    return factories.approval(session, shop, api, plan=gold)


class TestAsking:
    def test_a_plan_that_wants_approval_makes_it_pending(self, asked):
        assert asked.subscription.state is SubscriptionState.PENDING
        assert (asked.state, asked.purpose) == (ApprovalState.WAITING, "Show orders to customers.")

    def test_needs_a_purpose_that_fits(self, session, shop, api, gold):
        for purpose in ("  ", "x" * (LONGEST_WORDS + 1)):
            with pytest.raises(Invalid) as refused:
                registry.subscribe(session, shop, api, gold, by=None, purpose=purpose)
            assert refused.value.fields.keys() == {"purpose"}

    def test_without_approval_nothing_has_to_be_said(self, session, shop, api, free):
        assert registry.subscribe(session, shop, api, free, by=None).approvals == []

    @pytest.mark.parametrize("count", [0, -1, 10**13])
    def test_a_count_that_cannot_be_is_refused(self, session, shop, api, gold, count):
        with pytest.raises(Invalid, match="Give a number from 1"):
            registry.subscribe(session, shop, api, gold, by=None, purpose="It.", expected_calls=count)

    def test_twice_is_refused_with_what_waits(self, session, shop, api, free, asked):
        with pytest.raises(Conflict, match="Shop has asked for Orders under the plan Gold already"):
            registry.subscribe(session, shop, api, free, by=None)

    def test_again_after_a_rejection(self, session, shop, api, gold, asked):
        registry.reject(session, asked, by=None, words="Not yet.")

        again = factories.approval(session, shop, api, plan=gold)

        assert (asked.subscription.state, again.subscription.state) == ("rejected", "pending")

    def test_a_plan_for_chosen_teams_is_for_them_and_for_whom_the_owner_lets_in(self, session, shop, api, free):
        free.public = False
        with pytest.raises(Conflict, match="does not offer the plan Free"):
            registry.subscribe(session, shop, api, free, by=None)

        free.chosen = [shop.team]

        assert registry.subscribe(session, shop, api, free, by=None).state is SubscriptionState.APPROVED

    def test_an_end_that_passed_frees_the_place_before_the_worker_comes(self, session, use, shop, api, free):
        registry.grant_until(session, use, utcnow() + SOON)
        use.ends_at = ended = utcnow() - timedelta(seconds=1)
        session.flush()

        again = registry.subscribe(session, shop, api, free, by=None)
        session.flush()

        assert (use.state, use.ends_at, again.state) == ("ended", ended, "approved")


class TestDeciding:
    def test_approval_begins_it_now_and_a_node_is_told(self, session, asked):
        asked.subscription.starts_at = utcnow() - LATER
        session.commit()
        before = revision.current(session)

        registry.approve(session, asked, by=factories.person(session), words=" Welcome. ")
        session.commit()

        use = asked.subscription
        assert (use.state, use.ends_at, use.approved_until, asked.words) == ("approved", None, None, "Welcome.")
        assert utcnow() - use.starts_at < timedelta(minutes=1)
        assert revision.current(session) == before + 1

    def test_until_a_date_is_an_end_that_its_team_may_only_bring_forward(self, session, asked):
        until = utcnow() + LATER
        registry.approve(session, asked, by=None, until=until)
        use = asked.subscription

        with pytest.raises(Invalid, match="It is approved until"):
            registry.limit_subscription(session, use, until + SOON)
        registry.limit_subscription(session, use, until - SOON)
        assert use.ends_at == until - SOON
        registry.limit_subscription(session, use, None)
        assert use.ends_at == use.approved_until == until

    def test_a_date_that_passed_is_refused(self, session, asked):
        with pytest.raises(Invalid, match="This time has passed"):
            registry.approve(session, asked, by=None, until=utcnow())
        assert asked.state is ApprovalState.WAITING

    def test_an_end_that_passed_cannot_be_chosen(self, session, use):
        with pytest.raises(Invalid, match="This time has passed"):
            registry.limit_subscription(session, use, utcnow())
        assert use.ends_at is None

    def test_rejection_needs_a_reason(self, session, asked):
        with pytest.raises(Invalid, match="Say why"):
            registry.reject(session, asked, by=None, words=" ")

    def test_the_second_decision_is_told_who_was_first(self, session, asked):
        ann = factories.person(session, name="Ann Approver")
        registry.approve(session, asked, by=ann)
        session.flush()

        for second in (registry.approve, registry.reject):
            with pytest.raises(Conflict, match="Ann Approver has approved this request already"):
                second(session, asked, by=None, words="No.")
        assert asked.subscription.state is SubscriptionState.APPROVED

    def test_what_was_withdrawn_cannot_be_decided(self, session, asked):
        registry.withdraw_request(session, asked)
        session.flush()

        with pytest.raises(Conflict, match="was withdrawn"):
            registry.approve(session, asked, by=None)
        assert asked.subscription.state is SubscriptionState.ENDED


class TestMeanwhile:
    """What a request waits for changes."""

    def test_a_retired_api_is_not_approved_but_rejected_or_approved_when_it_is_revived(self, session, api, asked):
        registry.deprecate(session, api, at=utcnow(), sunset_at=None, successor=None, message="")
        registry.retire(session, api)
        session.flush()

        with pytest.raises(Conflict, match=r"Orders is retired.*Reject the request, or let the API answer again"):
            registry.approve(session, asked, by=None)
        assert asked.state is ApprovalState.WAITING

        registry.revive(session, api)
        session.flush()
        registry.approve(session, asked, by=None)
        assert asked.subscription.state is SubscriptionState.APPROVED

    def test_an_unpublished_api_is_not_approved(self, session, api, asked):
        registry.unpublish(session, api)

        with pytest.raises(Conflict, match="Orders is not published"):
            registry.approve(session, asked, by=None)
        registry.reject(session, asked, by=None, words="It is gone.")

    def test_a_closed_api_takes_what_its_team_approves(self, session, api, asked):
        registry.close(session, api)

        registry.approve(session, asked, by=None)

        assert asked.subscription.state is SubscriptionState.APPROVED

    def test_a_plan_that_is_asked_for_is_not_deleted(self, session, api, use, gold):
        silver = factories.plan(session, team=api.team, name="Silver", approval=True)
        registry.offer_plans(session, api, [*api.plans, silver])
        registry.switch_plan(session, use, silver, by=None, purpose="More.")
        session.flush()

        with pytest.raises(InUse, match="1 request asks or has asked for the plan Silver"):
            registry.delete_plan(session, silver)

    def test_a_plan_that_is_not_offered_any_more_is_still_approved(self, session, api, free, asked):
        registry.offer_plans(session, api, [free])

        registry.approve(session, asked, by=None)

        assert asked.subscription.plan.name == "Gold"

    def test_a_suspended_consumer_is_approved_and_stays_suspended(self, session, shop, asked):
        registry.suspend_consumer(session, shop)

        registry.approve(session, asked, by=None)

        assert asked.subscription.state is SubscriptionState.APPROVED
        assert shop.suspended_at is not None

    def test_the_api_goes_with_what_is_asked_of_it(self, session, api, asked):
        registry.delete_api(session, api)
        session.commit()

        assert session.scalars(select(Subscription)).all() == []


class TestAnotherPlan:
    def test_without_approval_it_changes_at_once(self, session, api, use):
        silver = factories.plan(session, team=api.team, name="Silver")
        registry.offer_plans(session, api, [*api.plans, silver])

        assert registry.switch_plan(session, use, silver, by=None) is None
        assert use.plan is silver

    def test_with_approval_what_is_agreed_goes_on_until_it_is_approved(self, session, use, free, gold):
        waits = registry.switch_plan(session, use, gold, by=None, purpose="More.")
        session.flush()
        assert (use.state, use.plan) == ("approved", free)

        registry.approve(session, waits, by=None, until=utcnow() + LATER)

        assert (use.state, use.plan) == ("approved", gold)
        assert use.ends_at is not None
        assert use.ends_at == use.approved_until

    def test_a_rejection_leaves_what_is_agreed(self, session, use, free, gold):
        waits = registry.switch_plan(session, use, gold, by=None, purpose="More.")
        session.flush()

        registry.reject(session, waits, by=None, words="No.")

        assert (use.state, use.plan, use.ends_at) == ("approved", free, None)

    def test_one_request_at_a_time(self, session, api, use, gold):
        registry.switch_plan(session, use, gold, by=None, purpose="More.")
        session.flush()

        with pytest.raises(Conflict, match="Gold is asked for already and waits"):
            registry.switch_plan(session, use, gold, by=None, purpose="Still more.")

    def test_a_change_at_once_withdraws_what_waits(self, session, api, use, gold):
        waits = registry.switch_plan(session, use, gold, by=None, purpose="More.")
        silver = factories.plan(session, team=api.team, name="Silver")
        registry.offer_plans(session, api, [*api.plans, silver])
        session.flush()

        registry.switch_plan(session, use, silver, by=None)

        assert (waits.state, use.plan) == (ApprovalState.WITHDRAWN, silver)

    def test_the_same_plan_is_asked_for_only_to_go_on_after_an_end(self, session, asked):
        registry.approve(session, asked, by=None)
        session.flush()
        use = asked.subscription
        with pytest.raises(Conflict, match="has the plan Gold already"):
            registry.switch_plan(session, use, use.plan, by=None, purpose="More.")

        registry.grant_until(session, use, utcnow() + SOON)
        waits = registry.switch_plan(session, use, use.plan, by=None, purpose="Another year.")
        session.flush()
        registry.approve(session, waits, by=None)

        assert (use.ends_at, use.approved_until) == (None, None)

    def test_not_while_it_is_pending_suspended_or_over(self, session, asked, free):
        use = asked.subscription
        with pytest.raises(Conflict, match="waits for approval"):
            registry.switch_plan(session, use, free, by=None)
        registry.approve(session, asked, by=None)
        registry.suspend_subscription(session, use, words="Too many errors.")
        session.flush()
        with pytest.raises(Conflict, match="Payments has suspended"):
            registry.switch_plan(session, use, free, by=None)
        registry.end_subscription(session, use)
        session.flush()
        with pytest.raises(Conflict, match="is ended"):
            registry.switch_plan(session, use, free, by=None)

    def test_its_own_team_gives_any_plan_at_once(self, session, use, gold):
        registry.assign_plan(session, use, gold)

        assert (use.plan, use.approvals) == (gold, [])


class TestByTheOwner:
    def test_lets_in_without_asking_also_where_it_is_closed(self, session, shop, api, gold):
        registry.close(session, api)
        until = utcnow() + LATER

        use = registry.admit(session, shop, api, gold, by=None, until=until)

        assert (use.state, use.ends_at, use.approved_until) == ("approved", until, until)

    def test_not_twice_nor_over_what_waits(self, session, shop, api, free, asked):
        with pytest.raises(Conflict, match="has asked for Orders"):
            registry.admit(session, shop, api, free, by=None)

    def test_suspends_with_a_reason_and_resumes(self, session, use):
        with pytest.raises(Invalid, match="Say why"):
            registry.suspend_subscription(session, use, words="")
        registry.suspend_subscription(session, use, words="Too many errors.")
        session.flush()
        assert (use.state, use.suspended_because) == ("suspended", "Too many errors.")

        registry.resume_subscription(session, use)

        assert (use.state, use.suspended_because) == ("approved", "")

    def test_what_waits_or_is_over_is_neither_suspended_nor_limited(self, session, asked):
        use = asked.subscription
        for act in (
            lambda: registry.suspend_subscription(session, use, words="No."),
            lambda: registry.grant_until(session, use, None),
            lambda: registry.give_notice(session, use, ends_at=utcnow() + SOON),
        ):
            with pytest.raises(Conflict, match="waits for approval"):
                act()

    def test_an_earlier_end_of_the_consumers_own_stays(self, session, use):
        own = utcnow() + SOON
        registry.limit_subscription(session, use, own)
        session.flush()

        registry.grant_until(session, use, utcnow() + LATER)

        assert use.ends_at == own


class TestNotice:
    def test_ends_it_then_and_is_withdrawn_to_what_was(self, session, use):
        end = utcnow() + SOON
        registry.grant_until(session, use, until := utcnow() + LATER)
        session.flush()

        registry.give_notice(session, use, ends_at=end)
        session.flush()
        assert use.noticed_at is not None
        assert use.ends_at == end
        with pytest.raises(Invalid, match="It is under notice and ends"):
            registry.limit_subscription(session, use, until)

        assert registry.withdraw_notice(session, use)
        assert (use.noticed_at, use.ends_at) == (None, until)
        assert not registry.withdraw_notice(session, use)

    def test_an_end_that_its_team_chooses_under_notice_stays_when_that_is_withdrawn(self, session, use):
        registry.give_notice(session, use, ends_at=utcnow() + LATER)
        session.flush()

        registry.limit_subscription(session, use, own := utcnow() + SOON)
        session.flush()
        assert registry.withdraw_notice(session, use)

        assert (use.noticed_at, use.ends_at) == (None, own)

    def test_given_again_moves_the_end_and_forgets_nothing(self, session, use):
        for days in (10, 20):
            registry.give_notice(session, use, ends_at=utcnow() + timedelta(days=days))
            session.flush()

        registry.withdraw_notice(session, use)

        assert use.ends_at is None

    def test_not_after_the_end_that_it_has(self, session, use):
        registry.grant_until(session, use, utcnow() + SOON)
        session.flush()

        with pytest.raises(Invalid, match="anyway"):
            registry.give_notice(session, use, ends_at=utcnow() + LATER)

    def test_a_later_decision_is_the_end_of_it(self, session, use):
        registry.give_notice(session, use, ends_at=utcnow() + SOON)
        session.flush()

        registry.grant_until(session, use, None)

        assert (use.noticed_at, use.ends_at) == (None, None)


class TestEndDue:
    def test_ends_at_its_time_what_has_come_to_its_end_and_takes_back_what_waits(self, session, use, gold):
        end = utcnow() + SOON
        waits = registry.switch_plan(session, use, gold, by=None, purpose="More.")
        registry.grant_until(session, use, end)
        session.commit()
        before = revision.current(session)

        assert registry.end_due(session, now=end - timedelta(seconds=1)) == []
        session.commit()
        assert revision.current(session) == before
        assert registry.end_due(session, now=end) == [use]
        session.commit()

        assert (use.state, use.ends_at, waits.state) == ("ended", end, ApprovalState.WITHDRAWN)
        assert revision.current(session) == before + 1
        assert registry.end_due(session, now=end) == []


class TestConsumers:
    def test_keep_whom_to_ask_and_what_is_to_be_known(self, session, shop):
        registry.change_consumer(
            shop, name="Shop", description="", contacts=[" a@b.example ", ""], metadata={"squad": " checkout "}
        )
        assert (shop.contacts, shop.attributes) == (["a@b.example"], {"squad": "checkout"})

        registry.change_consumer(shop, name="Shop 2", description="")
        assert (shop.contacts, shop.attributes) == (["a@b.example"], {"squad": "checkout"})

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"contacts": ["x"] * 11}, "contacts"),
            ({"contacts": ["x" * 201]}, "contacts"),
            ({"metadata": {"a b": "x"}}, "metadata"),
            ({"metadata": {"a": ""}}, "metadata"),
            ({"metadata": {"a": "x" * 201}}, "metadata"),
            ({"metadata": {f"k{n}": "x" for n in range(21)}}, "metadata"),
        ],
    )
    def test_more_than_fits_is_refused(self, shop, more, field):
        with pytest.raises(Invalid) as refused:
            registry.change_consumer(shop, name="Shop", description="", **more)
        assert refused.value.fields.keys() == {field}

    def test_whom_to_ask_is_not_in_the_trail(self, session, shop):
        registry.change_consumer(shop, name="Shop", description="", contacts=["quirin@portico.example"])
        session.flush()

        assert [each for each in session.scalars(select(AuditEntry)) if "quirin" in str(each.changes)] == []

    def test_are_suspended_once_and_resumed(self, session, shop):
        registry.suspend_consumer(session, shop)
        since = shop.suspended_at
        registry.suspend_consumer(session, shop)
        assert since is not None
        assert shop.suspended_at == since
        registry.resume_consumer(session, shop)
        assert shop.suspended_at is None


class TestMove:
    def test_takes_keys_subscriptions_and_requests_and_both_teams_are_told(self, session, shop, use, gold):
        waits = registry.switch_plan(session, use, gold, by=None, purpose="More.")
        key, _ = factories.key(session, shop)
        old, new, public_id = shop.team, factories.team(session), shop.public_id
        session.commit()

        registry.move_consumer(session, shop, new)
        session.commit()

        assert (shop.team, shop.public_id, key.consumer, use.consumer) == (new, public_id, shop, shop)
        assert waits.state is ApprovalState.WAITING
        told = {(each.team_id, each.action) for each in session.scalars(select(AuditEntry)) if "moved" in each.action}
        assert told == {(old.id, "moved away"), (new.id, "moved")}

    def test_a_slug_in_use_there_needs_another(self, session, shop):
        new = factories.team(session)
        factories.consumer(session, team=new, slug=shop.slug)

        with pytest.raises(NameTaken, match="Give it another slug there"):
            registry.move_consumer(session, shop, new)
        registry.move_consumer(session, shop, new, slug="moved-shop")

        assert (shop.team, shop.slug) == (new, "moved-shop")

    def test_to_where_it_is_is_refused(self, session, shop):
        with pytest.raises(Conflict, match="already"):
            registry.move_consumer(session, shop, shop.team)
