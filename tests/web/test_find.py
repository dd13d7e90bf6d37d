"""The palette and its page: everybody finds what they may know of, and nothing else."""

import re

import pytest
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

from portal import registry, schema
from portal.db import engine_options, engine_url
from portal.errors import TooManyAttempts
from portal.registry.models import KeyKind, Revision, Visibility
from portal.web import lists
from portal.web.find import without_secret
from portal.web.pace import Pace
from tests import factories
from tests.conftest import sign_in
from tests.web import logged

PALETTE = {"HX-Request": "true"}


@pytest.fixture
def things(session, cast):
    """All with `alpha` in their names: the cast's own, and those of another team."""
    other = factories.team(session, slug="other", name="Other team")
    owned = {"team": cast.team, "openapi": factories.openapi_document(session)}
    return {
        "draft": factories.api(session, team=cast.team, slug="alpha-draft", name="Alpha draft"),
        "own": factories.api(session, live=True, slug="alpha-own", name="Alpha own", **owned),
        "public": factories.api(session, team=other, live=True, slug="alpha-public", name="Alpha public"),
        "hidden": factories.api(session, team=other, live=True, slug="alpha-hidden", name="Alpha hidden"),
        "foreign_draft": factories.api(session, team=other, slug="alpha-foreign", name="Alpha foreign"),
        "shop": factories.consumer(session, team=cast.team, slug="alpha-shop", name="Alpha shop"),
        "depot": factories.consumer(session, team=other, slug="alpha-depot", name="Alpha depot"),
    }


@pytest.fixture
def seen(session, things):
    registry.set_visibility(session, things["hidden"], Visibility.TEAM)
    session.commit()
    return things


def found(client, person, typed, **more):
    """What the palette has: label -> address."""
    answer = sign_in(client, person).get("/find", query_string={"q": typed, **more}, headers=PALETTE)
    assert answer.status_code == 200, answer.text
    assert "<html" not in answer.text
    links = re.findall(r'<a class="find-hit[^>]*href="([^"]*)">(.*?)</a>', answer.text, re.S)
    return {words(label): address.replace("&amp;", "&") for address, label in links}


def words(markup):
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


def begins(labels, *starts):
    return all(any(label.startswith(start) for label in labels) for start in starts)


class TestWhoFindsWhat:
    @pytest.mark.parametrize(
        ("who", "finds", "never"),
        [
            (
                "developer",
                ["Alpha draft v1", "Alpha own v1", "Alpha public v1", "Alpha shop"],
                ["Alpha hidden", "Alpha foreign", "Alpha depot"],
            ),
            (
                "publisher",
                ["Alpha draft v1", "Alpha own v1", "Alpha public v1", "Alpha shop"],
                ["Alpha hidden", "Alpha foreign", "Alpha depot"],
            ),
            (
                "stranger",
                ["Alpha own v1", "Alpha public v1"],
                ["Alpha draft", "Alpha hidden", "Alpha foreign", "Alpha shop", "Alpha depot"],
            ),
            (
                "administrator",
                [
                    "Alpha draft",
                    "Alpha own",
                    "Alpha public",
                    "Alpha hidden",
                    "Alpha foreign",
                    "Alpha shop",
                    "Alpha depot",
                ],
                [],
            ),
        ],
    )
    def test_by_the_rules_of_visibility_and_teams(self, client, cast, seen, who, finds, never):
        person = getattr(cast, who)

        labels = found(client, person, "alpha")
        page = sign_in(client, person).get("/find?q=alpha").text

        assert begins(labels, *finds)
        assert not any(label.startswith(name) for label in labels for name in never)
        assert all(name not in page for name in never)
        assert all(name in page for name in finds)

    def test_nobody_who_has_not_signed_in(self, client, seen):
        assert client.get("/find?q=alpha").location.startswith("/sign-in")
        assert client.get("/find?q=alpha", headers=PALETTE).status_code == 401

    def test_everything_found_may_be_opened(self, client, cast, seen):
        for person in (cast.developer, cast.publisher, cast.stranger, cast.administrator):
            for typed in ("", "alpha", "pets"):
                for label, address in found(client, person, typed).items():
                    status = sign_in(client, person).get(address).status_code
                    assert status < 400, f"{person.name}: {label} at {address}: {status}"

    def test_own_apis_lead_to_their_page_and_others_to_the_docs(self, client, cast, seen):
        labels = found(client, cast.developer, "alpha")

        addresses = {label.split(" v1")[0]: address for label, address in labels.items()}
        assert addresses["Alpha own"] == "/apis/cast/alpha-own/v1"
        assert addresses["Alpha public"] == "/catalogue/other/alpha-public/v1"

    def test_operations_lead_to_their_docs(self, client, cast, seen):
        labels = found(client, cast.stranger, "pets")

        (address,) = [address for label, address in labels.items() if label.startswith("GET /pets/{id}")]
        assert address == "/catalogue/cast/alpha-own/v1/operations/show"

    def test_pages_and_actions_are_those_that_one_may_use(self, client, cast, seen):
        labels = {who: found(client, getattr(cast, who), "") for who in ("developer", "publisher", "administrator")}

        assert begins(labels["publisher"], "Home", "Catalogue", "Register API", "Make plan", "Access review")
        assert not any(label.startswith(("Register API", "Access review", "People")) for label in labels["developer"])
        assert begins(labels["administrator"], "Gateway", "People", "Audit trail", "Add person")
        assert begins(found(client, cast.developer, "unus k"), "Unused keys")
        assert begins(found(client, cast.developer, "2fa"), "Second factor")


class TestKeys:
    @pytest.fixture
    def keys(self, session, seen):
        own, token = factories.key(session, seen["shop"], label="laptop", public_id="Abcdefghijkl")
        factories.key(session, seen["depot"], label="theirs", public_id="Abcdefghijkm")
        factories.key(session, seen["shop"], label="other case", public_id="abcdefghijkl")
        session.commit()
        return own, token

    def test_own_ones_are_found_by_how_they_begin(self, client, cast, keys):
        labels = found(client, cast.developer, "pco_Abc")

        assert list(labels) == ["pco_Abcdefghijkl_… laptop of Alpha shop, The Cast active"]
        assert list(labels.values()) == ["/consumers/cast/alpha-shop/keys/Abcdefghijkl"]
        assert len(found(client, cast.administrator, "pco_Abc")) == 2
        assert found(client, cast.stranger, "pco_Abc") == {}

    def test_user_names_are_found_and_shown_as_such(self, client, session, cast, seen):
        factories.key(session, seen["shop"], label="legacy", public_id="Bbcdefghijkl", kind=KeyKind.BASIC)
        session.commit()

        assert list(found(client, cast.developer, "pcb_Bbc")) == [
            "pcb_Bbcdefghijkl:… legacy of Alpha shop, The Cast active"
        ]

    def test_a_foreign_key_is_none_at_all(self, client, cast, keys):
        answers = [
            sign_in(client, cast.developer).get("/find", query_string={"q": typed}).text.replace(typed, "…")
            for typed in ("pco_Abcdefghijkm_", "pco_ZZZZZZZZZZZZ_")
        ]
        assert "Nothing found" in answers[0]
        assert re.sub(r'nonce="[^"]*"|csrf[^>]*|X-CSRFToken[^>]*', "", answers[0]) == re.sub(
            r'nonce="[^"]*"|csrf[^>]*|X-CSRFToken[^>]*', "", answers[1]
        )

    def test_what_is_shown_of_an_own_key_leads_there_from_the_page(self, client, cast, keys):
        for typed in ("pco_Abcdefghijkl_", "pco_Abcdefghijkl", "Abcdefghijkl"):
            answer = sign_in(client, cast.developer).get("/find", query_string={"q": typed})
            assert answer.location == "/consumers/cast/alpha-shop/keys/Abcdefghijkl"

    def test_a_whole_key_is_cut_and_not_repeated(self, client, cast, keys, caplog):
        token = keys[1].value
        signed_in = sign_in(client, cast.developer)

        there = signed_in.get("/find", query_string={"q": f"Authorization: Bearer {token}"})
        page = signed_in.get(there.location).text
        part = signed_in.get("/find", query_string={"q": token}, headers=PALETTE).text

        assert there.location == "/find?q=pco_Abcdefghijkl_&cut=1"
        for text in (there.text, page, part, caplog.text):
            assert token[17:] not in text
        for text in (page, part):
            assert 'href="/leaks"' in text
            assert "/consumers/cast/alpha-shop/keys/Abcdefghijkl" in text

    def test_too_little_of_one_is_said_so(self, client, cast, keys):
        page = sign_in(client, cast.developer).get("/find?q=pco_A").text

        assert "three or more characters" in page
        assert "Nothing found" not in page

    def test_many_are_on_a_page_of_their_own(self, client, session, cast, keys, seen):
        for n in range(60):
            factories.key(session, seen["shop"], public_id=f"many{n:08}")
        session.commit()

        few = found(client, cast.developer, "pco_many")
        assert len(few) == 6
        assert few["More keys"] == "/find?q=pco_many&kind=keys"
        assert len(found(client, cast.developer, "pco_many", kind="keys")) == 50


class TestCalls:
    def test_a_request_id_leads_to_why(self, client, cast, seen, engine, tmp_path):
        line = logged.line(seen["own"], seen["shop"])
        logged.store(engine, tmp_path, line)
        request_id = logged.id_of(line)

        labels = found(client, cast.developer, f"x-request-id: {request_id}")
        answer = sign_in(client, cast.developer).get(f"/find?q={request_id}")

        assert list(labels.values()) == [f"/why?id={request_id}"]
        assert answer.location == f"/why?id={request_id}"

    def test_of_a_foreign_call_as_little_is_told_as_of_none(self, client, cast, seen, engine, tmp_path):
        line = logged.line(seen["public"], seen["depot"])
        logged.store(engine, tmp_path, line)
        none = logged.id_of(logged.line())

        labels = [found(client, cast.stranger, each) for each in (logged.id_of(line), none)]

        assert [[label.split(" ", 1)[1] for label in each] for each in labels] == [
            ["No call that you may see, or not yet."]
        ] * 2


class TestWords:
    @pytest.mark.parametrize(
        "typed",
        ["", " ", "%", "_", "\\", "'", '"', "*", "AND", "(", "é", "💥", pytest.param("a" * 5000, id="long"), "-", "/"],
    )
    def test_whatever_is_typed_is_answered(self, client, cast, seen, typed):
        assert sign_in(client, cast.administrator).get("/find", query_string={"q": typed}).status_code == 200
        found(client, cast.administrator, typed)

    def test_names_are_text(self, client, session, cast, seen):
        hostile = "<img src=x onerror=alert(1)>\"'"
        factories.consumer(session, team=cast.team, name=hostile, slug="hostile")
        factories.api(session, team=cast.team, live=True, name=hostile, slug="hostile")
        key, _ = factories.key(session, seen["shop"], label=hostile)
        session.commit()
        signed_in = sign_in(client, cast.developer)

        for typed in ("img", "onerror", "hostile", hostile, f"pco_{key.public_id[:6]}"):
            for headers in (PALETTE, {}):
                page = signed_in.get("/find", query_string={"q": typed}, headers=headers).text
                assert "<img" not in page
                assert "&lt;img" in page

    def test_nothing_found_says_what_can_be_looked_for(self, client, cast, seen):
        answer = sign_in(client, cast.developer).get("/find?q=zebra").text

        assert "Nothing found for <strong>zebra</strong>" in answer
        assert "request id" in answer

    def test_of_many_a_few_are_shown_and_where_all_are(self, client, session, cast):
        for n in range(30):
            factories.consumer(session, team=cast.team, name=f"Beta {n:02}", slug=f"beta-{n:02}")
            factories.api(session, team=cast.team, live=True, name=f"Beta {n:02}", slug=f"beta-{n:02}")
        session.commit()

        labels = found(client, cast.developer, "beta")

        assert labels["All results among consumers"] == "/consumers?q=beta"
        assert labels["All results in the catalogue"] == "/catalogue?q=beta"
        assert len(labels) <= 20

    def test_the_count_is_said(self, client, cast, seen):
        answer = sign_in(client, cast.stranger).get("/find?q=alpha", headers=PALETTE).text
        assert re.search(r"<div data-find-said>2 results</div>", answer)


class TestEveryPage:
    def test_has_the_field_for_those_who_have_signed_in(self, client, cast):
        page = sign_in(client, cast.developer).get("/consumers").text
        assert re.search(r'<form class="topbar-find-form" action="/find" role="search">.*name="q"', page)
        assert "<dialog" in page

    def test_and_not_for_strangers(self, client):
        assert "<dialog" not in client.get("/sign-in").text


class TestPace:
    def test_who_asks_too_fast_waits(self, client, cast):
        signed_in = sign_in(client, cast.developer)

        statuses = {signed_in.get("/find", headers=PALETTE).status_code for _ in range(300)}

        assert statuses == {200, 429}
        assert sign_in(client, cast.owner).get("/find").status_code == 200, "others do not wait for them"

    def test_a_bucket_fills_up_again(self):
        pace = Pace(burst=2, per_second=4)
        pace.step(1, 0.0)
        pace.step(1, 0.0)
        with pytest.raises(TooManyAttempts) as refused:
            pace.step(1, 0.1)
        assert refused.value.seconds == 1
        pace.step(2, 0.1)
        pace.step(1, 0.25)
        with pytest.raises(TooManyAttempts):
            pace.step(1, 0.25)
        pace.step(1, 100.0)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_keys_are_found_by_their_very_letters(request, tmp_path, database):
    at = f"sqlite:///{tmp_path}/keys.sqlite3" if database == "sqlite" else request.getfixturevalue("postgres_url")
    url = engine_url(at)
    engine = create_engine(url, **engine_options(url))
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        connection.execute(insert(Revision).values(id=1, n=0))
    with Session(engine) as session:
        consumer = factories.consumer(session)
        owner = consumer.team.memberships[0].person
        for name in ("Abcdefghijkl", "abcdefghijkl", "Abdefghijklm"):
            factories.key(session, consumer, public_id=name)
        factories.key(session, factories.consumer(session), public_id="Abcforeign00")

        found = {
            begins: [key.public_id for key in session.scalars(lists.keys(session, owner, begins=begins))]
            for begins in ("Abc", "abc", "Abcdefghijkl", "Abx")
        }

    engine.dispose()
    assert found == {"Abc": ["Abcdefghijkl"], "abc": ["abcdefghijkl"], "Abcdefghijkl": ["Abcdefghijkl"], "Abx": []}


@pytest.mark.parametrize(
    ("typed", "kept", "was_cut"),
    [
        ("orders", "orders", False),
        ("pco_", "pco_", False),
        ("pco_abc", "pco_abc", False),
        ("pco_abcdefghijkl", "pco_abcdefghijkl", False),
        ("pco_abcdefghijkl_", "pco_abcdefghijkl_", False),
        ("pco_abcdefghijkl_S", "pco_abcdefghijkl_", True),
        ("pco_abcdefghijklS", "pco_abcdefghijkl", True),
        ("pcb_abcdefghijkl:SECRET", "pcb_abcdefghijkl:", True),
        ("ppt_abcdefghijkl_SECRET", "ppt_abcdefghijkl_", True),
        ("Bearer pco_abcdefghijkl_SECRET", "pco_abcdefghijkl_", True),
        ("pcc_12_3_1790000000_mac", "pcc_12_", True),
    ],
)
def test_what_is_kept_of_a_secret(typed, kept, was_cut):
    assert without_secret(typed) == (kept, was_cut)
