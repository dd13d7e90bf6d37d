from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import bearer, registry
from portal.accounts.audit import AuditEntry
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.notify.models import Notice
from portal.registry import revision
from portal.registry.keys import FORM, TOMBSTONE, Restrictions, bury, new_token
from portal.registry.models import Key, KeySubscription
from tests import factories


class TestToken:
    def test_has_the_form_that_scanners_look_for(self):
        for _ in range(200):
            token = new_token()
            assert FORM.fullmatch(token.value)
            assert token.is_well_formed

    def test_a_changed_character_is_noticed(self):
        token = new_token().value
        for place in range(4, len(token)):
            other = "b" if token[place] == "a" else "a"
            assert not Token(token[:place] + other + token[place + 1 :]).is_well_formed

    def test_never_shows_itself(self):
        token = new_token()

        assert token.value[17:] not in f"{token} {token!r} {[token]}"
        assert token.public_id in repr(token)

    def test_checksum_is_big_endian_base62_with_leading_zeros(self):
        # CRC-32 of this body is 5 448 641, which has four digits in base 62.
        body = "pco_000000000000_000000000000000000000000OZ1"
        assert len(bearer.checksum(body)) == 6


class TestIssue:
    def test_only_the_hash_is_stored(self, session):
        key, token = factories.key(session, factories.consumer(session), label="  ci \n run ")

        assert key.sha256 == token.sha256
        assert key.label == "ci run"
        stored = [str(value) for value in vars(key).values()]
        assert not any(token.value[17:] in value for value in stored)

    def test_an_expiry_that_has_passed_is_refused(self, session):
        with pytest.raises(Invalid) as refused:
            factories.key(session, factories.consumer(session), expires_at=utcnow() - timedelta(seconds=1))

        assert list(refused.value.fields) == ["expires_at"]

    def test_state_follows_the_clock(self, session):
        now = utcnow()
        key, _ = factories.key(session, factories.consumer(session), expires_at=now + timedelta(hours=1))

        assert key.state_at(now) == "active"
        assert key.state_at(now + timedelta(hours=1)) == "expired"
        registry.revoke(session, key)
        assert key.state_at(now) == "revoked"


class TestRevoke:
    def test_keeps_the_first_time(self, session):
        key, _ = factories.key(session, factories.consumer(session))
        registry.revoke(session, key)
        first = key.revoked_at

        registry.revoke(session, key)

        assert key.revoked_at == first


class TestBury:
    def test_the_long_dead_go_and_the_living_stay(self, session):
        consumer = factories.consumer(session)
        now = utcnow()
        living, _ = factories.key(session, consumer)
        for fields in ({"revoked_at": now}, {"revoked_at": now - TOMBSTONE - timedelta(seconds=1)}):
            key, _ = factories.key(session, consumer)
            key.revoked_at = fields["revoked_at"]
        expired, _ = factories.key(session, consumer)
        expired.expires_at = now - TOMBSTONE - timedelta(days=1)
        session.flush()

        assert bury(session, now=now) == 2

        left = session.scalars(select(Key)).all()
        assert living in left
        assert len(left) == 2


class TestChosenId:
    def test_makes_one_key_however_often_it_is_sent(self, session):
        consumer = factories.consumer(session)
        chosen = registry.new_public_id()
        first, _ = factories.key(session, consumer, public_id=chosen)

        with pytest.raises(Conflict, match=f"pco_{chosen}_… was made then"):
            factories.key(session, consumer, public_id=chosen)

        assert session.scalars(select(Key).where(Key.consumer_id == consumer.id)).all() == [first]

    def test_is_part_of_the_token(self, session):
        chosen = registry.new_public_id()
        _, token = factories.key(session, factories.consumer(session), public_id=chosen)

        assert token.public_id == chosen
        assert token.is_well_formed


class TestRestrictions:
    @pytest.fixture
    def house(self, session):
        """A consumer with two subscriptions, of which the first is to an API with operations."""
        consumer = factories.consumer(session, name="Shop")
        apis = [
            factories.api(session, live=True, name="Pets", openapi=factories.openapi_document(session)),
            factories.api(session, live=True, name="Bills"),
        ]
        return consumer, [factories.subscription(session, consumer, api) for api in apis]

    def test_are_kept_in_one_form_and_change_at_once(self, session, house):
        consumer, (pets, _) = house
        key, _ = factories.key(session, consumer, restrictions=Restrictions(True, ("10.0.0.1", "10.0.0.1/32")))
        session.commit()
        before = revision.current(session)

        registry.restrict(
            session,
            key,
            Restrictions(
                subscriptions=frozenset({pets.id}), operations=frozenset({(pets.api_id, "GET", "/pets/{id}")})
            ),
        )
        session.commit()

        assert revision.current(session) == before + 1
        assert (key.read_only, key.addresses) == (False, [])
        assert [each.subscription_id for each in key.chosen_subscriptions] == [pets.id]
        assert [(each.api_id, each.method, each.path) for each in key.chosen_operations] == [
            (pets.api_id, "GET", "/pets/{id}")
        ]
        registry.restrict(session, key, Restrictions.of(key))
        session.commit()
        assert revision.current(session) == before + 1

    @pytest.mark.parametrize(
        ("less", "field", "sentence"),
        [
            (lambda p, b: {"addresses": ("10.0.0.1/8",)}, "addresses", "the network 10.0.0.0/8"),
            (lambda p, b: {"subscriptions": {404}}, "subscriptions", "Shop has no subscription 404 that goes on"),
            (lambda p, b: {"operations": {(p.api_id, "GET", "/none")}}, "operations", "has no operation GET /none"),
            (lambda p, b: {"operations": {(p.api_id, "POST", "/pets/{id}")}}, "operations", "has no operation POST"),
            (lambda p, b: {"operations": {(b.api_id, "GET", "/pets/{id}")}}, "operations", "Bills v1 has no operation"),
            (lambda p, b: {"operations": {(404, "GET", "/")}}, "operations", "an API that this key may not call"),
            (
                lambda p, b: {"subscriptions": {b.id}, "operations": {(p.api_id, "GET", "/pets/{id}")}},
                "operations",
                "an API that this key may not call",
            ),
            (
                lambda p, b: {"operations": {(p.api_id, "GET", f"/{n}") for n in range(201)}},
                "operations",
                "at most 200",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_field(self, session, house, less, field, sentence):
        consumer, (pets, bills) = house
        wanted = Restrictions(
            **{name: frozenset(each) if type(each) is set else each for name, each in less(pets, bills).items()}
        )

        with pytest.raises(Invalid) as refused:
            factories.key(session, consumer, restrictions=wanted)

        assert list(refused.value.fields) == [field]
        assert sentence in refused.value.fields[field]
        assert session.scalars(select(Key)).all() == []

    def test_subscriptions_of_others_cannot_be_chosen(self, session, house):
        foreign = factories.subscription(session, factories.consumer(session), house[1][0].api)

        with pytest.raises(Invalid):
            factories.key(session, house[0], restrictions=Restrictions(subscriptions=frozenset({foreign.id})))

    def test_what_a_key_has_may_stay_when_it_is_over(self, session, house):
        consumer, (pets, bills) = house
        had = Restrictions(
            subscriptions=frozenset({pets.id}), operations=frozenset({(pets.api_id, "GET", "/pets/{id}")})
        )
        key, _ = factories.key(session, consumer, restrictions=had)
        registry.end_subscription(session, pets)
        session.flush()

        wanted = Restrictions(True, (), had.subscriptions | {bills.id}, had.operations)
        registry.restrict(session, key, wanted)

        assert Restrictions.of(key) == wanted

    def test_a_key_whose_subscriptions_are_gone_is_not_one_for_all(self, session, house):
        consumer, (pets, _) = house
        key, _ = factories.key(session, consumer, restrictions=Restrictions(subscriptions=frozenset({pets.id})))
        session.commit()
        number = pets.id

        registry.delete_api(session, pets.api)
        session.commit()

        assert Restrictions.of(key).subscriptions == {number}

    def test_a_revoked_key_is_not_changed(self, session, house):
        key, _ = factories.key(session, house[0])
        registry.revoke(session, key)

        with pytest.raises(Conflict, match="does not come back"):
            registry.restrict(session, key, Restrictions(True))
        with pytest.raises(Conflict, match="does not come back"):
            registry.change_key(session, key, label="", expires_at=utcnow() + timedelta(days=1))

    def test_they_go_with_the_key(self, session, house):
        consumer, (pets, _) = house
        key, _ = factories.key(session, consumer, restrictions=Restrictions(subscriptions=frozenset({pets.id})))
        key.revoked_at = utcnow() - TOMBSTONE - timedelta(days=1)
        session.commit()

        bury(session, now=utcnow())
        session.commit()

        assert session.scalars(select(KeySubscription)).all() == []

    def test_the_trail_has_what_was_and_what_is(self, session, house):
        consumer, (pets, _) = house
        key, _ = factories.key(session, consumer)
        session.commit()
        registry.restrict(session, key, Restrictions(True, ("10.0.0.0/8",), frozenset({pets.id})))
        session.commit()

        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert entry.changes == {
            "read_only": [False, True],
            "addresses": ["[]", "['10.0.0.0/8']"],
            "chosen_subscriptions": ["", f"subscription {pets.id}"],
        }


class TestChange:
    def test_another_expiry_that_has_passed_is_refused_and_the_same_one_stays(self, session):
        key, _ = factories.key(session, factories.consumer(session))
        with pytest.raises(Invalid, match=r"This time has passed\. Choose a later one, or revoke the key"):
            registry.change_key(session, key, label="x", expires_at=utcnow() - timedelta(seconds=1))

        key.expires_at = utcnow() - timedelta(days=1)
        registry.change_key(session, key, label="kept", expires_at=key.expires_at)
        assert key.label == "kept"

    def test_an_expired_key_may_live_on(self, session):
        key, _ = factories.key(session, factories.consumer(session))
        key.expires_at = utcnow() - timedelta(days=1)

        registry.change_key(session, key, label="", expires_at=None)

        assert key.state_at(utcnow()) == "active"


class TestRevokeAll:
    def test_tells_each_team_once_and_names_what_was_not_dead_before(self, session):
        consumer, other = factories.consumer(session, name="Shop"), factories.consumer(session)
        keys = [factories.key(session, each)[0] for each in (consumer, consumer, other)]
        dead, _ = factories.key(session, consumer)
        registry.revoke(session, dead)

        gone = registry.revoke_all(session, [*keys, dead], by=None)
        session.commit()

        assert gone == keys
        assert all(key.revoked_at for key in keys)
        notices = {each.team_id: each for each in session.scalars(select(Notice))}
        assert notices.keys() == {consumer.team_id, other.team_id}
        assert notices[consumer.team_id].subject == "2 keys are revoked"
        assert dead.public_id not in notices[consumer.team_id].text
