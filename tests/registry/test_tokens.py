"""What documents say of tokens, and the subjects of subscriptions."""

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.errors import Conflict, Invalid
from portal.registry import effects, facts, read_document, revision
from portal.registry.models import Api, Subscription
from tests import factories, tokens

KEYS = tokens.jwks(tokens.rsa_signer(), tokens.ec_signer())
URL = "https://login.example/jwks"
JWT = {"issuer": tokens.ISSUER, "audiences": [tokens.AUDIENCE], "jwks_url": URL}
PLAIN = {"name": "Orders", "path": "/orders/v1", "upstream": {"targets": [{"url": "http://orders.example"}]}}


def document(**jwt):
    return read_document(PLAIN | {"authentication": {"key": True, "jwt": JWT | jwt}}, typed=True)


def wrong(**jwt) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        document(**jwt)
    return {name.removeprefix("authentication."): said for name, said in refused.value.fields.items()}


class TestDocument:
    def test_what_is_usual_is_filled_in(self):
        jwt = document().authentication.jwt

        assert (jwt.claim, jwt.forward, jwt.jwks) == ("sub", False, None)

    def test_it_is_stored_and_read_again(self):
        made = document(claim="azp", forward=True)

        assert read_document(made.as_json()) == made
        assert made.as_json()["authentication"]["jwt"]["jwks_url"] == URL

    def test_pasted_keys_are_kept_as_public_keys_alone(self):
        made = document(jwks_url=None, jwks=KEYS).authentication.jwt

        assert made.jwks_url is None
        assert '"use"' not in made.jwks

    def test_a_token_may_be_the_only_way(self):
        alone = {"key": False, "jwt": JWT}

        assert read_document(PLAIN | {"authentication": alone}).authentication.asks

    @pytest.mark.parametrize(
        ("given", "field", "said"),
        [
            ({"jwks_url": None}, "jwt", "one of the two"),
            ({"jwks": KEYS}, "jwt", "one of the two"),
            ({"jwks_url": "http://login.example/jwks"}, "jwt.jwks_url", "https://"),
            ({"jwks_url": "ftp://login.example/jwks"}, "jwt.jwks_url", "a whole address"),
            ({"jwks_url": "https://a:b@login.example/"}, "jwt.jwks_url", "user name"),
            ({"jwks_url": "https://login.example:x/"}, "jwt.jwks_url", "port"),
            ({"jwks_url": "https://169.254.169.254/keys"}, "jwt.jwks_url", "metadata"),
            ({"jwks_url": "https://[fe80::1]/keys"}, "jwt.jwks_url", "never allowed"),
            ({"jwks_url": None, "jwks": "{}"}, "jwt.jwks", "no list “keys”"),
            ({"jwks_url": None, "jwks": tokens.jwks(more=[{"kty": "oct", "k": "x"}])}, "jwt.jwks", "symmetric"),
            ({"issuer": " "}, "jwt.issuer", "Give a text"),
            ({"issuer": "a\nb"}, "jwt.issuer", "line breaks"),
            ({"audiences": ["x", ""]}, "jwt.audiences.1", "Give a text"),
            ({"claim": "a.b"}, "jwt.claim", "letters, digits"),
            ({"claim": ""}, "jwt.claim", "letters, digits"),
        ],
    )
    def test_a_wrong_field_is_told_beside_it(self, given, field, said):
        assert said in wrong(**given)[field]

    def test_callers_are_told_what_a_change_means(self):
        before = document()

        def told(**jwt):
            return [(effect.sentence, effect.breaking) for effect in effects(before, document(**jwt))]

        assert told() == []
        assert [is_breaking for _, is_breaking in told(issuer="https://b.example")] == [True]
        assert [is_breaking for _, is_breaking in told(audiences=[])] == [False]
        assert [is_breaking for _, is_breaking in told(audiences=[tokens.AUDIENCE, "more"])] == [False]
        assert [is_breaking for _, is_breaking in told(audiences=["other"])] == [True]
        assert [is_breaking for _, is_breaking in told(claim="azp")] == [True]
        assert dict(facts(before))["Tokens"].startswith(f"issued by {tokens.ISSUER}, for {tokens.AUDIENCE}")


@pytest.fixture
def api(session) -> Api:
    factories.subscription(session, factories.consumer(session), factories.api(session, live=True))
    return factories.api(session, live=True, name="Orders", authentication={"key": True, "jwt": JWT})


@pytest.fixture
def use(session, api) -> Subscription:
    return factories.subscription(session, factories.consumer(session, name="Shop"), api)


class TestSubject:
    def test_it_is_live_at_once(self, session, use):
        session.commit()
        before = revision.current(session)

        registry.set_subject(session, use, " alice ")
        session.commit()

        assert use.subject == "alice"
        assert revision.current(session) == before + 1

    def test_the_same_again_changes_nothing(self, session, use):
        registry.set_subject(session, use, "alice")
        session.commit()
        before = revision.current(session)

        registry.set_subject(session, use, "alice")
        session.commit()

        assert revision.current(session) == before

    def test_one_consumer_of_an_api_has_it(self, session, api, use):
        registry.set_subject(session, use, "alice")
        other = factories.subscription(session, factories.consumer(session), api)

        with pytest.raises(Invalid, match="Another consumer of Orders has this subject already"):
            registry.set_subject(session, other, "alice")
        assert other.subject is None

    def test_at_another_api_it_is_free(self, session, use):
        registry.set_subject(session, use, "alice")
        elsewhere = factories.subscription(session, use.consumer, factories.api(session, live=True))

        registry.set_subject(session, elsewhere, "alice")

        assert elsewhere.subject == "alice"

    def test_what_is_over_holds_it_no_more(self, session, api, use):
        registry.set_subject(session, use, "alice")
        registry.end_subscription(session, use)
        session.flush()
        other = factories.subscription(session, factories.consumer(session), api)

        registry.set_subject(session, other, "alice")
        with pytest.raises(Conflict, match="This subscription is ended"):
            registry.set_subject(session, use, "bob")

    def test_nothing_takes_it_away(self, session, use):
        registry.set_subject(session, use, "alice")
        registry.set_subject(session, use, "")

        assert use.subject is None

    @pytest.mark.parametrize("wrong", ["x" * 256, "a\nb", "a\x00b", "\ud800"])
    def test_what_no_token_says_is_refused(self, session, use, wrong):
        with pytest.raises(Invalid):
            registry.set_subject(session, use, wrong)

    def test_the_trail_says_that_it_changed_and_not_to_what(self, session, use):
        session.commit()
        registry.set_subject(session, use, "ada@portico.example")
        session.commit()

        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (last.kind, last.changes) == ("subscription", {"subject": [None, "…"]})

    def test_a_new_version_takes_it_over_unless_somebody_has_it_there(self, session, api, use):
        registry.set_subject(session, use, "alice")
        second = factories.subscription(session, factories.consumer(session), api)
        registry.set_subject(session, second, "bob")
        new = registry.new_version(session, api, version="v2", path="/orders/v2", by=None)
        session.flush()
        registry.publish(session, new, by=None, expected=1)
        there = factories.subscription(session, factories.consumer(session), new)
        registry.set_subject(session, there, "bob")

        made = registry.carry_subscriptions(session, api, new, [use, second], {}, by=None)
        session.flush()

        assert {each.consumer: each.subject for each in made} == {use.consumer: "alice", second.consumer: None}

    def test_which_apis_take_tokens_is_known_of_many(self, session, api, use):
        plain = factories.api(session, live=True)

        assert registry.taking_tokens(session, [api, plain]) == {api.id}
        assert registry.takes_tokens(api)
        assert not registry.takes_tokens(plain)
