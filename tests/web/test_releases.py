"""Pages of releases: what a publish changes, how far it has come, old ones brought back, any two compared."""

import json

import pytest
from sqlalchemy import insert, select

from portal import openapi, registry
from portal.db import utcnow
from portal.gateway.models import Node
from portal.registry import descriptions, revision
from portal.registry.models import Api
from tests import factories
from tests.conftest import sign_in

A = "/apis/cast/orders/v1"


@pytest.fixture
def orders(session, cast) -> Api:
    """Release 1 at /one, release 2 at /two and live, a draft at /three."""
    api = factories.api(session, team=cast.team, slug="orders", name="Orders", path="/one", live=True)
    change(session, api, path="/two", description="Second.")
    registry.publish(session, api, by=cast.owner, expected=api.draft_number, note="Moved.")
    change(session, api, path="/three", key={"place": "bearer"})
    session.commit()
    return api


def change(session, api: Api, **values) -> None:
    document = registry.read_document(api.draft | values)
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)


def stored(session) -> Api:
    session.rollback()
    return session.scalars(select(Api).where(Api.slug == "orders")).one()


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


def described(session, api: Api, *paths: str) -> None:
    """The draft names an OpenAPI document with these paths."""
    operations = {path: {"get": {"responses": {"200": {"description": "Fine."}}}} for path in paths}
    data = json.dumps({"openapi": "3.1.0", "info": {"title": "O", "version": "1"}, "paths": operations}).encode()
    change(session, api, openapi=descriptions.keep(session, data, openapi.read(data)).sha256)


class TestPublishPage:
    def test_it_says_what_callers_notice_and_what_envoy_gets(self, publisher, orders):
        page = publisher.get(f"{A}/publish").text

        assert "The path becomes /three. Calls to /two get 404 no_such_api." in page
        assert "Calls that bring it in the header X-API-Key get 401 key_missing." in page
        assert "lines of difference" in page
        assert "&#34;prefix&#34;: &#34;/three&#34;" in page

    def test_operations_are_compared_apart(self, publisher, session, orders):
        described(session, orders, "/a", "/b")
        registry.publish(session, orders, by=None, expected=orders.draft_number)
        described(session, orders, "/b", "/c")
        session.commit()

        assert f'hx-get="{A}/compare/operations?from=3&amp;to=draft"' in publisher.get(f"{A}/publish").text
        page = publisher.get(f"{A}/compare/operations?from=3&to=draft").text
        fragment = publisher.get(f"{A}/compare/operations?from=3&to=draft", headers={"HX-Request": "true"}).text

        assert "<h1>" in page
        assert "<h1>" not in fragment
        for text in (page, fragment):
            assert "1 removed" in text
            assert "GET /a" in text
            assert "breaks callers" in text
            assert "GET /c" in text

    def test_openapi_documents_are_named_and_linked_wherever_they_differ(self, publisher, session, orders):
        described(session, orders, "/a", "/b")
        registry.publish(session, orders, by=None, expected=orders.draft_number)
        described(session, orders, "/c")
        session.commit()
        digests = [orders.draft["openapi"], orders.live_release.document["openapi"]]
        live = '<a href="/catalogue/cast/orders/v1/operations">O 1, 2 operations</a>'
        draft = f'<a href="{A}/operations">O 1, 1 operation</a>'

        for below in ("publish", "compare", "releases/3"):
            page = publisher.get(f"{A}/{below}").text
            assert live in page
            assert (draft in page) == (below != "releases/3")
            assert not any(digest[:12] in page for digest in digests)

    def test_obstacles_are_named_before_anything_is_pressed(self, publisher, session, orders):
        factories.api(session, live=True, name="Rival", path="/three")
        change(
            session,
            orders,
            upstream={
                "targets": [{"url": "http://o.example"}],
                "credential": {"kind": "basic", "secret": "token"},
            },
        )
        session.commit()

        page = publisher.get(f"{A}/publish").text

        assert "/three already belongs to Rival" in page
        assert "names the secret token" in page

    def test_another_release_since_is_shown_first(self, publisher, session, orders):
        registry.republish(session, orders, orders.releases[-1], by=None, expected=orders.draft_number)
        session.commit()

        data = {"number": str(orders.draft_number), "live": "2", "note": "A note."}
        answer = publisher.post(f"{A}/publish", data=data)

        assert answer.status_code == 409
        assert "Release 3 of Orders was published since you opened this page" in answer.text
        assert "A note." in answer.text
        assert '<input type="hidden" name="live" value="3">' in answer.text
        assert stored(session).live_release.number == 3

    def test_a_number_that_is_none(self, publisher, session, orders):
        answer = publisher.post(f"{A}/publish", data={"number": str(orders.draft_number), "live": "9" * 5000})

        assert answer.status_code == 303


class TestLiveOn:
    def node(self, session, name: str, revision: int, **values) -> None:
        now = utcnow()
        row = {
            "name": name,
            "instance_id": name,
            "state": "serving",
            "sentence": "",
            "revision": revision,
            "problems": [],
            "envoy_version": "1.40.0",
            "started_at": now,
            "seen_at": now,
            "log_waiting": 0,
        }
        session.execute(insert(Node).values(**row | values))
        session.commit()

    def test_it_counts_the_gateways_that_have_taken_it(self, publisher, session, orders):
        answer = publisher.post(f"{A}/publish", data={"number": str(orders.draft_number), "live": "2"})
        session.rollback()
        since = revision.current(session)
        assert answer.location == f"{A}/releases/3?since={since}"
        assert "No gateway is running" in publisher.get(answer.location).text

        self.node(session, "a", since)
        self.node(session, "b", since - 1)
        page = publisher.get(answer.location).text
        fragment = publisher.get(f"{A}/releases/3/live?since={since}", headers={"HX-Request": "true"}).text

        assert "Live on 1 of 2 gateways" in page
        assert f'hx-get="{A}/releases/3/live?since={since}"' in page
        assert "data-poll-done" not in fragment
        self.node(session, "c", since + 1)
        session.execute(Node.__table__.delete().where(Node.name == "b"))
        session.commit()
        assert "data-poll-done" in publisher.get(f"{A}/releases/3/live?since={since}").text

    def test_what_later_changes_do_not_matter(self, publisher, session, orders):
        since = revision.current(session)
        self.node(session, "a", since)
        revision.touch(session)
        session.commit()

        assert "Live on 1 of 1 gateways" in publisher.get(f"{A}/releases/2/live?since={since}").text
        assert "Live on 0 of 1 gateways" in publisher.get(f"{A}/releases/2/live").text

    def test_what_gateways_say_of_this_api_alone(self, publisher, session, orders):
        problems = [
            {"api": "cast/orders/v1", "sentence": "orders.example has no address."},
            {"api": "other/api/v1", "sentence": "Somebody else's."},
        ]
        self.node(session, "a", 1, problems=problems)
        page = publisher.get(f"{A}/releases/2/live").text

        assert "orders.example has no address." in page
        assert "Somebody else" not in page

    def test_an_older_release_waits_for_nothing(self, publisher, orders):
        assert "Another release is live by now" in publisher.get(f"{A}/releases/1/live").text


class TestReleases:
    def test_the_list_says_which_is_live_and_what_came_back(self, publisher, session, orders):
        registry.republish(session, orders, orders.releases[-1], by=None, expected=orders.draft_number, note="Back.")
        session.commit()

        page = publisher.get(f"{A}/releases").text

        assert "says what release 1 said" in page
        assert page.index("Release 3") < page.index("Release 2") < page.index("Release 1")
        assert "Olga Owner" in page

    def test_a_long_list_has_pages(self, publisher, session, orders):
        for number in range(60):
            change(session, orders, description=f"{number}")
            registry.publish(session, orders, by=None, expected=orders.draft_number)
        session.commit()

        first = publisher.get(f"{A}/releases").text
        second = publisher.get(f"{A}/releases?before=13").text

        assert (f"{A}/releases/13" in first, f"{A}/releases/12" in first) == (True, False)
        assert (f"{A}/releases/13" in second, f'href="{A}/releases/12"' in second) == (False, True)


class TestPublishAgain:
    def test_an_old_release_comes_back_and_the_draft_stays(self, publisher, session, orders, cast):
        assert f"{A}/releases/1/publish" in publisher.get(f"{A}/releases/1").text
        page = publisher.get(f"{A}/releases/1/publish").text
        assert "The path becomes /one." in page
        assert "The draft stays as it is, and differs from release 1" in page

        data = {"number": str(orders.draft_number), "live": "2", "note": "Too slow."}
        answer = publisher.post(f"{A}/releases/1/publish", data=data)

        assert answer.status_code == 303
        api = stored(session)
        made = api.live_release
        assert (made.number, made.copy_of, made.note, made.published_by.id) == (3, 1, "Too slow.", cast.publisher.id)
        assert api.draft["path"] == "/three"
        assert "It says what" in publisher.get(f"{A}/releases/3").text

    def test_the_live_one_has_nothing_to_publish(self, publisher, session, orders):
        assert "Nothing to publish" in publisher.get(f"{A}/releases/2/publish").text
        data = {"number": str(orders.draft_number), "live": "2"}
        answer = publisher.post(f"{A}/releases/2/publish", data=data)

        assert answer.status_code == 409
        assert "Release 2 of Orders is live already" in answer.text

    def test_a_path_that_was_taken_meanwhile(self, publisher, session, orders):
        factories.api(session, live=True, name="Rival", path="/one")
        session.commit()
        data = {"number": str(orders.draft_number), "live": "2", "note": "Kept."}

        answer = publisher.post(f"{A}/releases/1/publish", data=data)

        assert answer.status_code == 409
        assert answer.text.count("/one already belongs to Rival") == 1
        assert "Kept." in answer.text

    def test_developers_look_only(self, client, cast, orders):
        developer = sign_in(client, cast.developer)

        assert "Publish again" not in developer.get(f"{A}/releases/1").text
        assert developer.post(f"{A}/releases/1/publish").status_code == 403


class TestCompare:
    def test_any_two(self, publisher, orders):
        page = publisher.get(f"{A}/compare?from=1&to=2").text

        assert "The path becomes /two." in page
        assert "Second." in page
        assert "/three" not in page

    def test_the_live_one_with_the_draft_unless_said_otherwise(self, publisher, orders):
        page = publisher.get(f"{A}/compare").text

        assert "What differs from release 2 to the draft" in page

    def test_a_release_with_itself(self, publisher, orders):
        assert "Nothing differs" in publisher.get(f"{A}/compare?from=1&to=1").text

    @pytest.mark.parametrize("word", ["9", "x", "²", "9" * 100, "-1"])
    def test_what_there_is_not(self, publisher, orders, word):
        assert publisher.get(f"{A}/compare?from={word}&to=draft").status_code == 404

    def test_a_draft_that_was_never_published(self, publisher, session, cast):
        factories.api(session, team=cast.team, slug="bills")
        session.commit()

        assert publisher.get("/apis/cast/bills/v1/compare").status_code == 200
        assert "No releases yet" in publisher.get("/apis/cast/bills/v1/releases").text
