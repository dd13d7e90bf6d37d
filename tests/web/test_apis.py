"""The pages of APIs."""

import re

import pytest
from sqlalchemy import select

from portal import registry
from portal.registry.models import Api, Visibility
from tests import factories
from tests.conftest import sign_in

FORM = {
    "name": "Orders",
    "team": "cast",
    "slug": "",
    "version": "v1",
    "description": "Places orders.",
    "target_0_url": "http://orders.example:8080",
    "target_0_weight": "1",
    "tls_verify": "y",
    "connect_timeout": "5",
    "first_byte_timeout": "30",
    "idle_timeout": "300",
    "retries": "1",
    "path": "",
    "host": "",
    "key_place": "header",
    "key_name": "X-API-Key",
    "body_limit": "10",
}
A = "/apis/cast/orders/v1"


@pytest.fixture(autouse=True)
def noise(session, cast):
    """Another team's API of the same slug, which must show up nowhere."""
    noise = factories.api(session, live=True, slug="orders", name="Noise", path="/noise")
    registry.set_visibility(session, noise, Visibility.TEAM)
    session.commit()


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


@pytest.fixture
def orders(session, cast) -> Api:
    api = factories.api(
        session, team=cast.team, slug="orders", name="Orders", path="/orders/v1", plans=[], description="Places orders."
    )
    session.commit()
    return api


def stored(session, slug="orders") -> Api:
    session.rollback()
    return session.scalars(select(Api).join(Api.team).where(Api.slug == slug, Api.name != "Noise")).one()


def beside(page: str, field: str) -> str:
    """The sentence beside a field."""
    found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', page, re.DOTALL)
    return found[1] if found else ""


class TestList:
    def test_holds_only_apis_of_own_teams(self, publisher, orders):
        page = publisher.get("/apis").text

        assert "Orders" in page
        assert "Noise" not in page
        assert "1 API<" in page

    def test_administrators_find_all_of_them(self, client, cast, orders):
        page = sign_in(client, cast.administrator).get("/apis").text

        assert "Orders" in page
        assert "Noise" in page

    def test_search_team_and_state_narrow_it(self, publisher, session, cast, orders):
        factories.api(session, team=cast.team, name="Invoices", slug="invoices", live=True)
        session.commit()

        for query, found in {
            "q=ORD": {"Orders"},
            "q=100%25": set(),
            "state=draft": {"Orders"},
            "state=published": {"Invoices"},
            "state=paused": set(),
            "team=cast": {"Orders", "Invoices"},
            "team=other": set(),
        }.items():
            page = publisher.get(f"/apis?{query}").text
            assert {name for name in ("Orders", "Invoices") if f">{name}</a>" in page} == found, query

    def test_pages_hold_each_api_once_in_both_directions(self, publisher, session, cast):
        for n in range(120):
            factories.api(session, team=cast.team, name=f"Same {n % 3}")
        session.commit()
        link = re.compile(r'<a class="row-link" href="([^"]+)"')

        def walk(url: str, button: str) -> list[list[str]]:
            pages = []
            while url:
                page = publisher.get(url).text
                pages.append(link.findall(page))
                step = re.search(rf'rel="{button}" href="([^"]+)"', page)
                last, url = url, step[1].replace("&amp;", "&") if step else ""
            walk.last = last
            return pages

        forwards = walk("/apis?q=same", "next")
        backwards = walk(walk.last, "prev")

        assert [len(page) for page in forwards] == [50, 50, 20]
        assert len({row for page in forwards for row in page}) == 120
        assert backwards == forwards[::-1]

    def test_empty_list_offers_the_next_step(self, client, cast):
        assert "Register API" in sign_in(client, cast.owner).get("/apis").text
        assert "Go to the catalogue" in sign_in(client, cast.developer).get("/apis").text


class TestNew:
    def test_makes_a_draft_with_slug_and_path_from_the_name(self, publisher, session):
        answer = publisher.post("/apis/new", data=FORM | {"name": "Café orders"})

        assert (answer.status_code, answer.location) == (303, "/apis/cast/cafe-orders/v1")
        api = stored(session, "cafe-orders")
        assert (api.state, api.draft["path"], api.draft["description"]) == (
            "draft",
            "/cafe-orders/v1",
            "Places orders.",
        )

    def test_can_publish_at_once(self, publisher, session):
        assert publisher.post("/apis/new", data=FORM | {"publish": "1"}).status_code == 303
        assert stored(session).state == "published"

    def test_every_field_arrives_in_the_document(self, publisher, session):
        publisher.post(
            "/apis/new",
            data=FORM
            | {
                "target_0_url": "https://a.example/v2/",
                "target_1_url": "https://b.example/v2",
                "target_1_weight": "3",
                "ca_pem": "-----BEGIN\r\nx",
                "connect_timeout": "0.5",
                "first_byte_timeout": "60",
                "idle_timeout": "10",
                "retries": "0",
                "path": "/o",
                "host": "Orders.Example.COM",
                "key_place": "query",
                "key_name": "key",
                "body_limit": "0.25",
            },
        )

        document = registry.read_document(stored(session).draft)
        assert document == registry.read_document(
            {
                "name": "Orders",
                "description": "Places orders.",
                "path": "/o",
                "host": "orders.example.com",
                "upstream": {
                    "targets": [
                        {"url": "https://a.example/v2", "weight": 1},
                        {"url": "https://b.example/v2", "weight": 3},
                    ],
                    "ca_pem": "-----BEGIN\nx",
                    "connect_timeout_ms": 500,
                    "first_byte_timeout_ms": 60_000,
                    "idle_timeout_ms": 10_000,
                    "retries": 0,
                },
                "key": {"place": "query", "name": "key"},
                "body_limit_bytes": 250_000,
            }
        )

    @pytest.mark.parametrize(
        ("sent", "field", "sentence"),
        [
            ({"name": " "}, "name", "Give it a name."),
            ({"slug": "Or ders"}, "slug", "Use small letters"),
            ({"name": "订单", "slug": ""}, "slug", "No slug can be made from this name."),
            ({"version": "V 1"}, "version", "Use small letters"),
            ({"target_0_url": ""}, "target_0_url", "Give the address"),
            ({"target_0_url": "ftp://x"}, "target_0_url", "Begin the address with"),
            ({"target_0_url": "http://u:p@x"}, "target_0_url", "Leave user name"),
            (
                {"target_0_url": "http://169.254.7.7"},
                "target_0_url",
                "169.254.7.7 is link-local, which is never allowed.",
            ),
            ({"target_2_url": "gopher://x", "target_2_weight": "1"}, "target_1_url", "Begin the address with"),
            ({"target_1_url": "http://b/v2", "target_1_weight": "1"}, "target_0_url", "same scheme"),
            ({"target_0_weight": "0"}, "target_0_weight", "The least value is 1."),
            ({"target_0_weight": "1.5"}, "target_0_weight", "Give a whole number."),
            ({"connect_timeout": "soon"}, "connect_timeout", "Give a number"),
            ({"connect_timeout": "NaN"}, "connect_timeout", "Give a smaller number."),
            ({"connect_timeout": "0"}, "connect_timeout", "Give a time from 0.1 to 60 seconds."),
            ({"idle_timeout": ""}, "idle_timeout", "Give a number."),
            ({"retries": "6"}, "retries", "The greatest value is 5."),
            ({"path": "orders"}, "path", "Begin with /"),
            ({"path": "/_portico/x"}, "path", "/_portico belongs to the gateway"),
            ({"host": "a b"}, "host", "Give a host name"),
            ({"key_name": "Host"}, "key_name", "The header Host has a meaning of its own"),
            ({"key_name": "X_Api_Key"}, "key_name", "The header X_Api_Key has a meaning of its own"),
            ({"key_name": "a key"}, "key_name", "The name of a header has letters"),
            ({"body_limit": "-1"}, "body_limit", "Give a size"),
        ],
    )
    def test_says_beside_the_field_what_is_wrong_and_keeps_everything(self, publisher, session, sent, field, sentence):
        answer = publisher.post("/apis/new", data=FORM | sent)

        assert answer.status_code == 422
        if field != "target_0_weight":  # a single target's weight is not shown, the summary tells it
            assert sentence in beside(answer.text, field)
        assert sentence in answer.text
        assert "Places orders." in answer.text
        for value in sent.values():
            assert value.strip() in answer.text
        session.rollback()
        assert session.scalar(select(Api).where(Api.slug == "orders", Api.name != "Noise")) is None

    def test_all_problems_are_told_at_once(self, publisher):
        page = publisher.post("/apis/new", data=FORM | {"slug": "A", "version": "B", "path": "x", "host": "y z"}).text

        assert [bool(beside(page, field)) for field in ("slug", "version", "path", "host")] == [True] * 4

    def test_what_is_no_number_and_what_is_taken_are_told_with_the_rest(self, publisher, orders):
        sent = {"name": "", "slug": "orders", "retries": "x", "body_limit": "", "path": "/noise", "key_name": "Host"}
        sent |= {"target_0_url": "ftp://x", "publish": "1"}

        answer = publisher.post("/apis/new", data=FORM | sent)

        assert answer.status_code == 422
        told = {
            field: beside(answer.text, field)
            for field in ("name", "slug", "retries", "body_limit", "path", "key_name", "target_0_url")
        }
        assert all(told.values()), told
        assert "already has an API orders v1" in told["slug"]
        assert "/noise already belongs to" in told["path"]

    def test_editor_tells_all_at_once_too(self, publisher, orders):
        sent = {"number": "1", "name": "", "retries": "x", "path": "no", "target_0_url": "ftp://x"}

        page = publisher.post(f"{A}/document", data=FORM | sent).text

        assert all(beside(page, field) for field in ("name", "retries", "path", "target_0_url"))

    def test_a_nul_is_taken_out_and_told_beside_its_field(self, publisher, session):
        sent = FORM | {"description": "Places\0 orders.", "target_0_url": "http://orders\0.example"}

        answer = publisher.post("/apis/new", data=sent)

        assert answer.status_code == 422
        assert "a NUL character" in beside(answer.text, "description")
        assert "a NUL character" in beside(answer.text, "target_0_url")
        assert beside(answer.text, "name") == ""
        assert "Places orders." in answer.text
        assert "\0" not in answer.text
        session.rollback()
        assert session.scalar(select(Api).where(Api.slug == "orders", Api.name != "Noise")) is None

    def test_targets_are_added_and_removed_without_scripts(self, publisher):
        three = FORM | {f"target_{n}_url": f"http://{n}.example" for n in range(3)}

        added = publisher.post("/apis/new", data=three | {"targets": "add", "name": ""})
        removed = publisher.post("/apis/new", data=three | {"targets": "1"})

        assert added.status_code == 200
        assert re.findall(r'name="target_\d_url"[^>]*value="([^"]*)"', added.text) == [
            "http://0.example",
            "http://1.example",
            "http://2.example",
            "",
        ]
        assert re.findall(r'name="target_\d_url"[^>]*value="([^"]*)"', removed.text) == [
            "http://0.example",
            "http://2.example",
        ]

    def test_a_slug_in_use_is_409(self, publisher, orders):
        answer = publisher.post("/apis/new", data=FORM)

        assert answer.status_code == 409
        assert "already has an API orders v1" in beside(answer.text, "slug")

    def test_a_taken_path_is_409_and_makes_nothing(self, publisher, session):
        answer = publisher.post("/apis/new", data=FORM | {"path": "/noise/below", "publish": "1"})

        assert answer.status_code == 409
        assert "/noise/below already belongs to" in beside(answer.text, "path")
        session.rollback()
        assert session.scalar(select(Api).where(Api.slug == "orders", Api.name != "Noise")) is None

    def test_only_teams_that_may_publish_and_where_one_may_are_offered(self, client, session, cast):
        factories.team(session, owner=cast.publisher, slug="quiet", may_publish=False)
        factories.team(session, slug="foreign")
        session.commit()
        page = sign_in(client, cast.publisher).get("/apis/new").text
        answer = client.post("/apis/new", data=FORM | {"team": "foreign"})

        assert re.findall(r'<option[^>]*value="([^"]+)"', page.partition('name="slug"')[0]) == ["cast"]
        assert answer.status_code == 422

    def test_is_explained_to_those_who_may_not(self, client, cast):
        page = sign_in(client, cast.developer).get("/apis/new")

        assert page.status_code == 200
        assert "None of your teams may publish" in page.text


class TestDocument:
    def edit(self, client) -> dict[str, str]:
        """What the form would send unchanged."""
        page = client.get(f"{A}/document").text
        return FORM | {"number": re.search(r'name="number" value="(\d+)"', page)[1], "path": "/orders/v1"}

    def test_saving_what_was_opened_changes_nothing_but_the_number(self, publisher, session, orders):
        before = dict(orders.draft)
        page = publisher.get(f"{A}/document").text
        sent = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        sent |= {"description": "Places orders.", "key_place": "header", "ca_pem": ""}
        del sent["cors_credentials"]  # a box that is not ticked

        assert publisher.post(f"{A}/document", data=sent).status_code == 303
        assert stored(session).draft == before
        assert stored(session).draft_number == 2

    def test_two_editors_the_second_is_told_and_loses_nothing(self, publisher, session, orders):
        sent = self.edit(publisher)
        publisher.post(f"{A}/document", data=sent | {"description": "The first."})
        answer = publisher.post(f"{A}/document", data=sent | {"description": "The second."})

        assert answer.status_code == 409
        assert "while you were editing it" in answer.text
        assert "The second." in answer.text
        assert stored(session).draft["description"] == "The first."

        over = re.search(r'name="over" value="(\d+)"', answer.text)[1]
        again = publisher.post(f"{A}/document", data=sent | {"description": "The second.", "over": over})
        assert again.status_code == 303
        assert stored(session).draft["description"] == "The second."

    def test_a_form_that_names_no_draft_is_refused(self, publisher, session, orders):
        sent = self.edit(publisher) | {"number": "x"}

        assert publisher.post(f"{A}/document", data=sent).status_code == 400

    def test_developers_read_it(self, client, cast, orders):
        page = sign_in(client, cast.developer).get(f"{A}/document")

        assert page.status_code == 200
        assert "http://orders.example:8080" in page.text
        assert "<textarea" not in page.text

    def test_only_administrators_switch_certificate_checks_off(self, client, session, cast, orders):
        sign_in(client, cast.owner)
        off = {name: value for name, value in self.edit(client).items() if name != "tls_verify"}
        refused = client.post(f"{A}/document", data=off)
        assert refused.status_code == 422
        assert "Only administrators may switch this off" in beside(refused.text, "tls_verify")

        sign_in(client, cast.administrator)
        assert client.post(f"{A}/document", data=off).status_code == 303
        assert stored(session).draft["upstream"]["tls_verify"] is False

        sign_in(client, cast.owner)
        kept = client.post(f"{A}/document", data=off | {"number": "2", "description": "x"})
        moved = client.post(f"{A}/document", data=off | {"number": "3", "target_0_url": "http://else.example"})
        assert (kept.status_code, moved.status_code) == (303, 422)


class TestPublish:
    def test_shows_what_changes_and_makes_a_release(self, publisher, session, cast, orders):
        registry.publish(session, orders, by=None, expected=1)
        document = registry.read_document(orders.draft | {"description": "Tracks orders."})
        registry.save_draft(session, orders, document, by=cast.owner, expected=1)
        session.commit()

        page = publisher.get(f"{A}/publish").text
        assert "<del>Places orders.</del>" in page
        assert "<ins>Tracks orders.</ins>" in page
        assert "Body limit" not in page

        answer = publisher.post(f"{A}/publish", data={"number": "2", "note": " Tracking. "})
        assert answer.status_code == 303
        release = stored(session).live_release
        assert (release.number, release.note, release.published_by.id) == (2, "Tracking.", cast.publisher.id)
        assert stored(session).state == "published"

    def test_a_path_that_was_taken_is_409(self, publisher, session, orders):
        document = registry.read_document(orders.draft | {"path": "/noise"})
        registry.save_draft(session, orders, document, by=None, expected=1)
        session.commit()

        answer = publisher.post(f"{A}/publish", data={"number": "2", "note": "A note."})

        assert answer.status_code == 409
        assert "/noise already belongs to another API" in answer.text
        assert "Noise" not in answer.text
        assert "A note." in answer.text
        assert stored(session).state == "draft"

    def test_a_draft_that_changed_since_is_shown_first(self, publisher, session, orders):
        document = registry.read_document(orders.draft | {"description": "Changed."})
        registry.save_draft(session, orders, document, by=None, expected=1)
        session.commit()

        answer = publisher.post(f"{A}/publish", data={"number": "1"})
        assert answer.status_code == 409
        assert "Nothing was published" in answer.text
        assert stored(session).state == "draft"

        number = re.search(r'name="number" value="(\d+)"', answer.text)[1]
        assert publisher.post(f"{A}/publish", data={"number": number}).status_code == 303

    def test_nothing_new_is_nothing_to_publish(self, publisher, session, orders):
        publisher.post(f"{A}/publish", data={"number": "1"})

        assert "Nothing to publish" in publisher.get(f"{A}/publish").text
        assert publisher.post(f"{A}/publish", data={"number": "1"}).status_code == 409

    def test_targets_that_calls_cannot_be_sent_to_are_told(self, publisher, session, orders):
        for url, sentence in {
            "http://169.254.169.254": "metadata service, which is never allowed",
            "http://127.0.0.1:8080": "where this installation itself listens",
            "http://127.0.0.1:9": "may be sent to",
        }.items():
            document = registry.read_document(orders.draft | {"upstream": {"targets": [{"url": url}]}})
            registry.save_draft(session, orders, document, by=None, expected=orders.draft_number)
            session.commit()
            assert sentence in publisher.get(f"{A}/targets", headers={"HX-Request": "true"}).text


class TestParts:
    @pytest.fixture
    def live(self, session, cast, orders) -> Api:
        plan = factories.plan(session, team=cast.team, slug="gold", name="Gold")
        factories.plan(session, team=cast.team, slug="free", name="Free")
        registry.offer_plans(session, orders, [plan])
        registry.publish(session, orders, by=cast.owner, expected=1, note="The first one.")
        session.commit()
        return orders

    def test_overview_has_a_ready_command_and_no_key(self, client, cast, live):
        page = sign_in(client, cast.developer).get(A).text

        assert "curl http://localhost:8080/orders/v1 \\\n  -H &#34;X-API-Key: $PORTICO_KEY&#34;" in page
        assert "Olga Owner" in page
        assert "Gold" in page
        assert "Pause API" not in page

    def test_releases_are_kept_as_they_were(self, publisher, session, live):
        document = registry.read_document(live.draft | {"description": "Changed."})
        registry.save_draft(session, live, document, by=None, expected=1)
        session.commit()

        assert "The first one." in publisher.get(f"{A}/releases").text
        page = publisher.get(f"{A}/releases/1").text
        assert "Places orders." in page
        assert "Changed." not in page
        assert publisher.get(f"{A}/releases/2").status_code == 404

    def test_offer_takes_only_plans_of_the_team(self, publisher, session, live):
        foreign = factories.plan(session, slug="foreign")
        session.commit()

        publisher.post(f"{A}/plans", data={"plan": ["free", foreign.slug]})

        assert [plan.slug for plan in stored(session).plans] == ["free"]

    def test_an_overall_limit_is_set_and_taken_away(self, publisher, session, live):
        answer = publisher.post(f"{A}/limit", data={"overall_per_second": "250"}, follow_redirects=True)

        assert "lets 250 calls a second through, on each node within a second." in answer.text
        assert stored(session).overall_per_second == 250
        assert 'value="250"' in publisher.get(f"{A}/plans").text

        publisher.post(f"{A}/limit", data={"overall_per_second": ""})
        assert stored(session).overall_per_second is None

    @pytest.mark.parametrize("typed", ["0", "-1", "1.5", "many", "1000001", "9" * 400])
    def test_a_limit_that_makes_no_sense_is_shown_again(self, publisher, session, live, typed):
        answer = publisher.post(f"{A}/limit", data={"overall_per_second": typed})

        assert answer.status_code == 422
        assert f'value="{typed}"' in answer.text
        assert stored(session).overall_per_second is None

    def test_who_may_not_change_the_overall_limit_reads_it(self, client, session, cast, live):
        page = sign_in(client, cast.developer).get(f"{A}/plans").text
        assert "Overall limit" not in page
        stored(session).overall_per_second = 1
        session.commit()

        page = client.get(f"{A}/plans").text
        assert "1 call per second on each gateway node." in page
        assert client.post(f"{A}/limit", data={"overall_per_second": "5"}).status_code == 403

    def test_pause_asks_first_and_resume_undoes_it(self, publisher, session, live):
        assert "503 api_paused" in publisher.get(f"{A}/pause").text
        assert stored(session).state == "published"

        publisher.post(f"{A}/pause")
        assert stored(session).state == "paused"
        publisher.post(f"{A}/resume")
        assert stored(session).state == "published"

    def test_subscribers_are_named_and_lead_to_what_they_use(self, publisher, session, cast, live):
        mine = factories.consumer(session, team=cast.team, name="Mine")
        theirs = factories.consumer(session, name="Theirs")
        uses = [factories.subscription(session, consumer, live) for consumer in (mine, theirs)]
        registry.end_subscription(
            session, factories.subscription(session, factories.consumer(session, name="Gone"), live)
        )
        session.commit()

        page = publisher.get(f"{A}/subscribers").text

        assert all(f"{A}/subscribers/{use.id}" in page for use in uses)
        assert "Mine" in page
        assert "Theirs" in page
        assert theirs.slug not in page
        assert "Gone" not in page
        assert "2 subscribers" in page

    @pytest.mark.parametrize("act", ["unpublish", "delete"])
    def test_what_is_not_undone_needs_the_name_typed(self, client, session, cast, live, act):
        sign_in(client, cast.owner)
        assert client.post(f"{A}/{act}", data={"confirm": "order"}).status_code == 422
        assert stored(session).state == "published"

        assert client.post(f"{A}/{act}", data={"confirm": "orders"}).status_code == 303
        session.rollback()
        left = session.scalar(select(Api).where(Api.slug == "orders", Api.name != "Noise"))
        assert (left is None) if act == "delete" else (left.state == "draft")


class TestTags:
    def test_they_are_typed_with_commas_and_shown_so_again(self, publisher, session, cast):
        answer = publisher.post("/apis/new", data=FORM | {"tags": " Money,, refunds of  all kinds ,money"})

        assert answer.status_code == 303
        assert stored(session).draft["tags"] == ["Money", "refunds of all kinds"]
        assert 'value="Money, refunds of all kinds"' in publisher.get(f"{A}/document").text

    def test_one_that_is_too_long_is_said_beside_the_field(self, publisher, cast):
        page = publisher.post("/apis/new", data=FORM | {"tags": f"money, {'x' * 41}"}).text

        assert beside(page, "tags") == "One of them is too long. At most 40 characters fit here."

    def test_too_many_are_said_beside_the_field(self, publisher, cast):
        page = publisher.post("/apis/new", data=FORM | {"tags": ",".join(map(str, range(31)))}).text

        assert beside(page, "tags") == "At most 30 are possible."
