from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from portal import registry
from portal.db import utcnow
from portal.gateway.ir import Api, Credential, Plan, Restriction, Snapshot, Target
from portal.gateway.keys import pack_keys
from portal.gateway.read import Reader, consistent
from portal.registry import models
from portal.registry.models import (
    Key,
    KeyOperation,
    KeySubscription,
    Release,
    Revision,
    SecretKind,
    Subscription,
    SubscriptionState,
    Visibility,
)
from portal.registry.visibility import tells_successor
from portal.vault import Vault
from tests import factories
from tests.postgres import own_schema


@pytest.fixture
def read(engine: Engine, session: Session) -> Callable[[], Snapshot]:
    """What a node sees after the test's session has committed."""
    reader = Reader()

    def snapshot() -> Snapshot:
        session.commit()
        with consistent(engine) as connection:
            return reader.read(connection).snapshot

    return snapshot


def only(things: Any) -> Any:
    (thing,) = things
    return thing


class TestEnd:
    AT = datetime(2026, 1, 1, tzinfo=UTC)

    def pair(self, session: Session, *, same_team: bool = False) -> tuple[models.Api, models.Api]:
        """A deprecated API and its successor."""
        new = factories.api(session, live=True, slug="new", version="v2", team=factories.team(session, slug="shop"))
        old = factories.api(session, live=True, team=new.team if same_team else None)
        sunset_at = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        registry.deprecate(session, old, at=self.AT, sunset_at=sunset_at, successor=new, message="")
        return old, new

    def test_it_is_what_the_team_said(self, session: Session, read: Callable[[], Snapshot]) -> None:
        old, new = self.pair(session)
        before = {api.id: api for api in read().apis}
        registry.retire(session, old)

        after = {api.id: api for api in read().apis}

        assert (before[old.id].deprecated, before[old.id].sunset) == (1_767_225_600, 1_798_761_599)
        assert (before[old.id].successor, before[old.id].retired) == ("shop/new/v2", False)
        assert after[old.id].retired
        assert after[new.id] == before[new.id]
        assert (after[new.id].deprecated, after[new.id].successor) == (None, None)

    @pytest.mark.parametrize(
        ("visibility", "same_team", "own", "named"),
        [
            (Visibility.PUBLIC, False, Visibility.SIGNED_IN, True),
            (Visibility.SIGNED_IN, False, Visibility.SIGNED_IN, True),
            (Visibility.CHOSEN, False, Visibility.SIGNED_IN, False),
            (Visibility.TEAM, False, Visibility.TEAM, False),
            (Visibility.TEAM, True, Visibility.TEAM, True),
            (Visibility.TEAM, True, Visibility.PUBLIC, False),
            (Visibility.TEAM, True, Visibility.CHOSEN, False),
        ],
    )
    def test_a_successor_is_named_where_it_may_be_known(
        self,
        session: Session,
        read: Callable[[], Snapshot],
        visibility: Visibility,
        same_team: bool,
        own: Visibility,
        named: bool,
    ) -> None:
        old, new = self.pair(session, same_team=same_team)
        registry.set_visibility(session, new, visibility)
        registry.set_visibility(session, old, own)

        api = only(api for api in read().apis if api.id == old.id)

        assert api.successor == ("shop/new/v2" if named else None)
        assert tells_successor(old) == named

    def test_a_successor_that_is_not_published_is_not_named(
        self, session: Session, read: Callable[[], Snapshot]
    ) -> None:
        _, new = self.pair(session)
        registry.unpublish(session, new)

        assert only(read().apis).successor is None


class TestApis:
    def test_document_becomes_what_the_gateway_serves(self, session: Session, read: Callable[[], Snapshot]) -> None:
        team = factories.team(session, slug="shop")
        row = factories.api(
            session,
            team=team,
            slug="orders",
            version="v2",
            live=True,
            path="/orders/v2",
            host="orders.example.com",
            key={"place": "header", "name": "X-Shop-Key"},
            upstream={
                "targets": [
                    {"url": "https://a.example/base/", "weight": 3},
                    {"url": "https://[2001:db8::1]:8443/base"},
                ],
                "connect_timeout_ms": 700,
                "retries": 2,
            },
            body_limit_bytes=5,
        )

        api: Api = only(read().apis)

        assert api.id == row.id
        assert api.release == 1
        assert api.label == "shop/orders/v2"
        assert (api.path, api.host, api.base_path) == ("/orders/v2", "orders.example.com", "/base")
        assert api.upstream.targets == (Target("a.example", 443, 3), Target("2001:db8::1", 8443, 1))
        assert api.upstream.tls
        assert api.upstream.connect_timeout_ms == 700
        assert (api.key_place, api.key_name) == ("header", "x-shop-key")
        assert (api.retries, api.body_limit_bytes, api.paused) == (2, 5, False)

    def test_target_without_port_and_path_gets_those_of_its_scheme(
        self, session: Session, read: Callable[[], Snapshot]
    ) -> None:
        factories.api(session, live=True, upstream={"targets": [{"url": "http://a.example"}]})

        api = only(read().apis)

        assert api.upstream.targets == (Target("a.example", 80),)
        assert api.base_path == "/"

    def test_an_overall_limit_is_live_at_once(self, session: Session, read: Callable[[], Snapshot]) -> None:
        row = factories.api(session, live=True)
        assert only(read().apis).overall_per_second is None

        registry.limit_api(session, row, overall_per_second=5)

        assert only(read().apis).overall_per_second == 5

    def test_drafts_are_not_served(self, session: Session, read: Callable[[], Snapshot]) -> None:
        live = factories.api(session, live=True)
        factories.api(session)

        assert [api.id for api in read().apis] == [live.id]

    def test_unchanged_api_is_the_same_object_again(self, session: Session, read: Callable[[], Snapshot]) -> None:
        quiet = factories.api(session, live=True)
        paused = factories.api(session, live=True)
        before = {api.id: api for api in read().apis}

        registry.pause(session, paused)
        after = {api.id: api for api in read().apis}

        assert after[quiet.id] is before[quiet.id]
        assert after[paused.id].paused
        assert not before[paused.id].paused

    def test_release_that_cannot_be_read_is_named_and_left_out(self, session: Session, engine: Engine) -> None:
        fine = factories.api(session, live=True)
        odd = factories.api(session, live=True)
        session.execute(
            update(Release).where(Release.api_id == odd.id).values(document=odd.draft | {"schema_version": 99})
        )
        session.commit()

        with consistent(engine) as connection:
            snapshot, problems = Reader().read(connection)

        assert [api.id for api in snapshot.apis] == [fine.id]
        assert only(problems).api == odd.label
        assert "Release 1 cannot be read by this version" in only(problems).sentence


class TestRights:
    def test_instants_are_whole_seconds_and_never_later(self, session: Session, read: Callable[[], Snapshot]) -> None:
        moment = datetime(2031, 5, 6, 7, 8, 9, 999_999, tzinfo=UTC)
        consumer = factories.consumer(session)
        subscription = factories.subscription(session, consumer, factories.api(session, live=True))
        key, _ = factories.key(session, consumer)
        session.execute(update(Key).values(expires_at=moment, revoked_at=moment + timedelta(hours=1)))
        session.execute(update(Subscription).values(starts_at=moment, ends_at=moment))

        snapshot = read()

        second = int(moment.timestamp())
        assert only(snapshot.keys) == (key.sha256, key.public_id, consumer.id, second, 1, key.id)
        assert only(snapshot.subscriptions) == (
            subscription.id,
            consumer.id,
            subscription.api_id,
            subscription.plan_id,
            second,
            second,
            "approved",
            None,
        )
        assert only(snapshot.consumers) == (consumer.id, consumer.public_id, False, False)

    def test_key_that_was_revoked_by_a_clock_that_went_ahead_is_revoked_now(
        self, session: Session, read: Callable[[], Snapshot]
    ) -> None:
        factories.key(session, factories.consumer(session))
        session.execute(update(Key).values(revoked_at=utcnow() + timedelta(days=365)))
        session.commit()

        assert only(read().keys).revoked < 2

    def test_revoked_key_stays_as_a_tombstone(self, session: Session, read: Callable[[], Snapshot]) -> None:
        key, _ = factories.key(session, factories.consumer(session))
        registry.revoke(session, key)

        assert only(read().keys).revoked <= utcnow().timestamp()

    def test_ended_subscription_is_none(self, session: Session, read: Callable[[], Snapshot]) -> None:
        api = factories.api(session, live=True)
        kept = factories.subscription(session, factories.consumer(session), api)
        registry.end_subscription(session, factories.subscription(session, factories.consumer(session), api))

        assert [row.id for row in read().subscriptions] == [kept.id]

    @pytest.mark.parametrize("state", SubscriptionState)
    def test_callers_hear_of_subscriptions_that_wait_or_are_suspended(
        self, session: Session, read: Callable[[], Snapshot], state: SubscriptionState
    ) -> None:
        factories.subscription(session, factories.consumer(session), factories.api(session, live=True))
        session.execute(update(Subscription).values(state=state))

        standings = [row.standing for row in read().subscriptions]

        assert standings == ([] if state in ("rejected", "ended") else [state])

    def test_a_used_up_quota_and_a_suspended_consumer_are_read(
        self, session: Session, read: Callable[[], Snapshot]
    ) -> None:
        moment = datetime(2031, 5, 6, tzinfo=UTC)
        api = factories.api(session, live=True)
        kept, other = factories.consumer(session), factories.consumer(session)
        factories.subscription(session, kept, api)
        factories.subscription(session, other, api)
        session.execute(update(Subscription).where(Subscription.consumer_id == kept.id).values(blocked_until=moment))
        other.suspended_at = moment

        snapshot = read()

        blocks = {row.consumer_id: row.blocked_until for row in snapshot.subscriptions}
        assert blocks == {kept.id: int(moment.timestamp()), other.id: None}
        assert {row.id: bool(row.suspended) for row in snapshot.consumers} == {kept.id: False, other.id: True}

    def test_restrictions_are_read_for_the_keys_that_have_some(
        self, session: Session, read: Callable[[], Snapshot]
    ) -> None:
        consumer, api = factories.consumer(session), factories.api(session, live=True)
        free, reader, near, chosen = (factories.key(session, consumer)[0] for _ in range(4))
        reader.read_only = True
        near.addresses = ["10.0.0.0/8"]
        chosen.chosen_subscriptions = [KeySubscription(subscription_id=9), KeySubscription(subscription_id=7)]
        chosen.chosen_operations = [KeyOperation(api_id=api.id, method="GET", path="/a")]

        snapshot = read()

        assert free.id not in snapshot.restrictions
        assert snapshot.restrictions == {
            reader.id: Restriction(read_only=True),
            near.id: Restriction(addresses=("10.0.0.0/8",)),
            chosen.id: Restriction(subscriptions=(7, 9), operations=((api.id, "GET", "/a"),)),
        }
        assert {row.id for row in snapshot.keys} == {free.id, reader.id, near.id, chosen.id}

    def test_plans_bring_their_limits(self, session: Session, read: Callable[[], Snapshot]) -> None:
        plan = factories.plan(session, per_second=7, per_second_burst=9, per_minute=None)
        plan.quota_day, plan.quota_month = 100, 2_000

        assert read().plans == (Plan(plan.id, per_second=7, per_second_burst=9, quota_day=100, quota_month=2_000),)


@pytest.mark.postgres
def test_postgresql_tells_rights_in_the_same_words(postgres_server: str) -> None:
    with own_schema(postgres_server) as engine:
        with Session(engine) as session:
            session.add(Revision(id=1, n=0))
            consumer, api = factories.consumer(session), factories.api(session, live=True)
            subscription = factories.subscription(session, consumer, api)
            free, near, chosen = (factories.key(session, consumer)[0] for _ in range(3))
            consumer.suspended_at = free.expires_at = subscription.blocked_until = datetime(2031, 5, 6, tzinfo=UTC)
            subscription.state = SubscriptionState.SUSPENDED
            near.addresses, near.read_only = ["10.0.0.0/8"], True
            chosen.chosen_subscriptions = [KeySubscription(subscription_id=9)]
            registry.limit_api(session, api, overall_per_second=5)
            session.commit()
            expected = (consumer.id, consumer.public_id, True, False), (subscription.id, free.id, near.id, chosen.id)
        with consistent(engine) as connection:
            snapshot = Reader().read(connection).snapshot

    second = int(datetime(2031, 5, 6, tzinfo=UTC).timestamp())
    row = only(snapshot.subscriptions)
    assert (only(snapshot.consumers), (row.id, *(key.id for key in sorted(snapshot.keys, key=lambda key: key.id)))) == (
        expected
    )
    assert (row.standing, row.blocked_until) == ("suspended", second)
    assert sorted(filter(None, (key.expires for key in snapshot.keys))) == [second]
    _, (_, _, near_id, chosen_id) = expected
    assert snapshot.restrictions == {
        near_id: Restriction(read_only=True, addresses=("10.0.0.0/8",)),
        chosen_id: Restriction(subscriptions=(9,)),
    }
    assert only(snapshot.apis).overall_per_second == 5
    pack_keys(snapshot)


def test_snapshot_knows_its_revision(session: Session, read: Callable[[], Snapshot]) -> None:
    first = read().revision
    factories.api(session, live=True)

    assert read().revision == first + 1


class TestSecrets:
    WANTED = {"kind": "header", "secret": "token", "header": "X-Token"}
    UPSTREAM = {"targets": [{"url": "http://orders.example"}], "credential": WANTED}

    @pytest.fixture
    def look(self, engine: Engine, session: Session) -> Callable[..., Api]:
        def at(reader: Reader) -> Api:
            session.commit()
            with consistent(engine) as connection:
                return only(reader.read(connection).snapshot.apis)  # type: ignore[no-any-return]

        return at

    def test_is_opened_with_a_vault_and_masked_without(self, session: Session, look: Callable[..., Api]) -> None:
        team = factories.team(session)
        vault = Vault(["v" * 40])
        factories.upstream_secret(session, team=team, vault=vault, name="token")
        factories.upstream_secret(session, team=factories.team(session), name="token", texts={"value": "another"})
        factories.api(session, team=team, live=True, upstream=self.UPSTREAM)

        assert look(Reader(lambda: vault)).credential == Credential("x-token", "hush")
        assert look(Reader()).credential == Credential("x-token", "…")

    def test_only_what_changed_is_another_api(self, session: Session, look: Callable[..., Api]) -> None:
        team = factories.team(session)
        vault = Vault(["v" * 40])
        secret = factories.upstream_secret(session, team=team, vault=vault, name="token")
        factories.api(session, team=team, live=True, upstream=self.UPSTREAM)
        reader = Reader(lambda: vault)
        first = look(reader)
        assert look(reader) is first

        registry.replace_secret(session, secret, texts={"value": "new"}, vault=vault, by=None)
        assert look(reader).credential == Credential("x-token", "new")

    def test_what_was_opened_stays_open_when_it_is_sealed_anew(
        self, session: Session, look: Callable[..., Api]
    ) -> None:
        """A node elsewhere may learn of the new key later than the row of it."""
        team = factories.team(session)
        secret = factories.upstream_secret(session, team=team, vault=Vault(["o" * 40]), name="token")
        factories.api(session, team=team, live=True, upstream=self.UPSTREAM)
        reader = Reader(lambda: Vault(["o" * 40]))
        first = look(reader)

        secret.sealed = Vault(["n" * 40, "o" * 40]).renew(secret.sealed)
        session.flush()

        assert look(reader) is first

    def test_one_of_another_kind_is_not_sent(self, session: Session, look: Callable[..., Api]) -> None:
        team = factories.team(session)
        vault = Vault(["v" * 40])
        secret = factories.upstream_secret(session, team=team, vault=vault, name="token")
        factories.api(session, team=team, live=True, upstream=self.UPSTREAM)
        session.delete(secret)
        session.flush()
        texts = {"user": "a", "password": "b"}
        factories.upstream_secret(session, team=team, vault=vault, name="token", kind=SecretKind.BASIC, texts=texts)

        api = look(Reader(lambda: vault))

        assert api.credential is None
        assert "no secret token of the kind" in (api.lacks or "")


class TestOtherWays:
    def test_what_a_release_takes_is_what_is_served(self, session: Session, read: Callable[[], Snapshot]) -> None:
        team = factories.team(session)
        factories.plan(session, team=team, slug="visitors")
        for path, authentication in {
            "/keyed": {},
            "/either": {"basic": True},
            "/basic": {"key": False, "basic": True},
            "/open": {"public": {"plan": "visitors"}},
        }.items():
            factories.api(session, team=team, live=True, path=path, authentication=authentication)

        snapshot = read()

        assert {api.path: (api.takes_key, api.takes_basic, api.public) for api in snapshot.apis} == {
            "/keyed": (True, False, False),
            "/either": (True, True, False),
            "/basic": (False, True, False),
            "/open": (False, False, True),
        }
        (everyone,) = (consumer for consumer in snapshot.consumers if consumer.everyone)
        (use,) = snapshot.everyone()
        assert (use.consumer_id, use.standing) == (everyone.id, "approved")
