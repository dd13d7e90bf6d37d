"""ETags, If-Match, Idempotency-Key: nobody's change is overwritten, and nothing is made twice."""

import pytest
from sqlalchemy import func, select

from portal.registry.models import Consumer, Import, Key
from tests import factories
from tests.outbound.test_fetch import Server

DOCUMENT = {"name": "Orders", "path": "/orders/v1", "upstream": {"targets": [{"url": "http://orders.example:8080"}]}}


@pytest.fixture
def api(session, cast):
    plan = factories.plan(session, team=cast.team, slug="gold")
    made = factories.api(session, team=cast.team, slug="orders", plans=[plan], document=factories.document(**DOCUMENT))
    session.commit()
    return made


DRAFT = "/teams/cast/apis/orders/v1/draft"
RELEASES = "/teams/cast/apis/orders/v1/releases"


class TestDrafts:
    def test_are_saved_with_the_etag_that_was_read(self, program, cast, api):
        asking = program(cast.publisher)
        read = asking.get(DRAFT)
        assert read.json["document"]["name"] == "Orders"

        saved = asking.put(DRAFT, DOCUMENT | {"description": "New."}, If_Match=read.headers["ETag"])

        assert (saved.status_code, saved.json["number"]) == (200, 2)
        assert saved.json["changed_by"] == cast.publisher.name
        assert saved.headers["ETag"] != read.headers["ETag"]
        assert asking.get(DRAFT).json == saved.json

    @pytest.mark.parametrize("match", ['"0-1"', "0-1", 'W/"0-1"', '""', ","])
    def test_another_state_is_412_and_changes_nothing(self, program, cast, api, match):
        asking = program(cast.publisher)

        refused = asking.put(DRAFT, DOCUMENT | {"name": "Other"}, If_Match=match)

        assert (refused.status_code, refused.json["code"]) == (412, "stale")
        assert asking.get(DRAFT).json["number"] == 1

    def test_no_state_at_all_is_428(self, program, cast, api):
        refused = program(cast.publisher).put(DRAFT, DOCUMENT)

        assert (refused.status_code, refused.json["code"]) == (428, "match_needed")

    def test_any_state_will_do_for_who_says_so(self, program, cast, api):
        assert program(cast.publisher).put(DRAFT, DOCUMENT | {"name": "O"}, If_Match="*").status_code == 200

    def test_one_of_several_is_enough(self, program, cast, api):
        asking = program(cast.publisher)
        tag = asking.get(DRAFT).headers["ETag"]

        assert asking.put(DRAFT, DOCUMENT | {"name": "O"}, If_Match=f'"x", {tag}').status_code == 200

    def test_what_is_wrong_has_a_pointer(self, program, cast, api):
        document = {"name": " ", "path": "orders", "upstream": {"targets": [{"url": "ftp://x"}]}, "extra": 1}
        refused = program(cast.publisher).put(DRAFT, document, If_Match="*")

        assert refused.status_code == 422
        assert {each["pointer"] for each in refused.json["errors"]} == {
            "#/name",
            "#/path",
            "#/upstream/targets/0/url",
            "#/extra",
        }
        assert all(each["detail"].endswith(".") for each in refused.json["errors"])

    def test_only_administrators_switch_certificate_checks_off(self, program, cast, api):
        document = DOCUMENT | {"upstream": DOCUMENT["upstream"] | {"tls_verify": False}}

        refused = program(cast.owner).put(DRAFT, document, If_Match="*")
        assert [each["field"] for each in refused.json["errors"]] == ["upstream.tls_verify"]
        assert program(cast.administrator).put(DRAFT, document, If_Match="*").status_code == 200

    def test_the_gateways_own_headers_are_refused(self, program, cast, api):
        document = DOCUMENT | {"key": {"place": "header", "name": "Host"}}

        assert program(cast.owner).put(DRAFT, document, If_Match="*").status_code == 422

    def test_an_openapi_document_of_others_cannot_be_named(self, program, cast, api):
        for asked in (
            program(cast.owner).put(DRAFT, DOCUMENT | {"openapi": "a" * 64}, If_Match="*"),
            program(cast.owner).post(
                "/teams/cast/apis", {"slug": "x", "version": "v1", "document": DOCUMENT | {"openapi": "a" * 64}}
            ),
        ):
            assert [each["field"] for each in asked.json["errors"]] == ["openapi"]


class TestReleases:
    def test_publish_what_was_looked_at(self, program, cast, api):
        asking = program(cast.publisher)
        tag = asking.get(DRAFT).headers["ETag"]

        made = asking.post(RELEASES, {"note": "First."}, If_Match=tag)

        assert made.status_code == 201
        assert made.headers["Location"] == f"/api/v1{RELEASES}/1"
        assert {"number": 1, "note": "First.", "is_live": True}.items() <= made.json.items()
        assert asking.get(f"{RELEASES}/1").json == made.json
        assert asking.get("/teams/cast/apis/orders/v1").json["state"] == "published"

    def test_a_draft_that_was_changed_meanwhile_is_412(self, program, cast, api):
        asking = program(cast.publisher)
        tag = asking.get(DRAFT).headers["ETag"]
        asking.put(DRAFT, DOCUMENT | {"name": "Other"}, If_Match=tag)

        assert asking.post(RELEASES, {}, If_Match=tag).status_code == 412
        assert asking.get(RELEASES).json["items"] == []

    def test_nothing_new_and_a_taken_path_are_conflicts(self, program, session, cast, api):
        asking = program(cast.publisher)
        asking.post(RELEASES, {}, If_Match="*")
        assert asking.post(RELEASES, {}, If_Match="*").status_code == 409

        factories.api(session, team=cast.team, slug="rival", document=factories.document(**DOCUMENT))
        session.commit()
        taken = asking.post("/teams/cast/apis/rival/v1/releases", {}, If_Match="*")
        assert (taken.status_code, taken.json["code"]) == (409, "path_taken")

    def test_pause_resume_unpublish(self, program, cast, api):
        asking, path = program(cast.publisher), "/teams/cast/apis/orders/v1"
        assert asking.post(f"{path}/pause").status_code == 409
        asking.post(RELEASES, {}, If_Match="*")

        states = [asking.post(f"{path}/{verb}").json["state"] for verb in ("pause", "resume", "unpublish")]
        assert states == ["paused", "published", "draft"]


class TestEverythingElse:
    @pytest.mark.parametrize(
        ("path", "change"),
        [
            ("/teams/cast", ("PATCH", {"name": "Other"})),
            ("/teams/cast/plans/gold", ("PUT", {"name": "Other"})),
            ("/teams/cast/plans/gold", ("DELETE", None)),
            ("/teams/cast/consumers/shop", ("PUT", {"name": "Other"})),
            ("/teams/cast/consumers/shop", ("DELETE", None)),
            ("/teams/cast/secrets/token", ("PUT", {"value": "other"})),
            ("/teams/cast/apis/orders/v1", ("DELETE", None)),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else value,
    )
    def test_takes_if_match_and_holds_it(self, program, session, cast, api, path, change):
        factories.consumer(session, team=cast.team, slug="shop")
        factories.upstream_secret(session, team=cast.team, name="token")
        session.commit()
        asking, (method, body) = program(cast.owner), change
        tag = asking.get(path).headers["ETag"]

        assert asking.ask(method, path, body, If_Match='"other"').status_code == 412
        assert asking.get(path).headers["ETag"] == tag
        assert asking.ask(method, path, body, If_Match=tag).status_code in {200, 204}

    @pytest.mark.parametrize(
        ("path", "change"),
        [
            ("/teams/cast/members/{member}", ("PATCH", {"role": "owner"})),
            ("/teams/cast/members/{member}", ("DELETE", None)),
            ("/teams/cast/consumers/shop/subscriptions/{subscription}", ("PATCH", {"ends_at": "2999-01-01T00:00:00Z"})),
            ("/teams/cast/consumers/shop/subscriptions/{subscription}", ("DELETE", None)),
            ("/teams/cast/consumers/shop/keys/{key}", ("PATCH", {"label": "other"})),
            ("/teams/cast/consumers/shop/keys/{key}", ("DELETE", None)),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else value.split("/")[-2],
    )
    def test_so_do_members_subscriptions_and_keys(self, program, session, cast, path, change):
        shop = factories.consumer(session, team=cast.team, slug="shop")
        path = path.format(
            member=next(each.id for each in cast.team.memberships if each.person is cast.developer),
            subscription=factories.subscription(session, shop, factories.api(session, live=True)).id,
            key=factories.key(session, shop)[0].public_id,
        )
        session.commit()
        asking, (method, body) = program(cast.owner), change
        tag = asking.get(path).headers["ETag"]

        assert asking.ask(method, path, body, If_Match='"other"').status_code == 412
        assert asking.get(path).headers["ETag"] == tag
        assert asking.ask(method, path, body, If_Match=tag).status_code in {200, 204}
        after = asking.get(path)
        assert after.status_code == 404 or after.headers["ETag"] != tag

    def test_what_somebody_else_has_changed_is_not_overwritten(self, program, session, cast):
        consumer = factories.consumer(session, team=cast.team, slug="shop")
        key, _ = factories.key(session, consumer)
        session.commit()
        path = f"/teams/cast/consumers/shop/keys/{key.public_id}"
        mine, theirs = program(cast.developer), program(cast.owner)
        tag = mine.get(path).headers["ETag"]
        assert theirs.patch(path, {"expires_at": "2999-01-01T00:00:00Z"}).status_code == 200

        assert mine.patch(path, {"expires_at": None}, If_Match=tag).status_code == 412
        assert mine.get(path).json["expires_at"] == "2999-01-01T00:00:00Z"

    def test_the_right_to_publish_has_the_teams_state(self, program, cast):
        asking = program(cast.administrator)
        tag = asking.get("/teams/cast").headers["ETag"]
        taken = asking.put("/teams/cast/publishing", {"allowed": False}, If_Match=tag)

        assert (taken.status_code, taken.json["may_publish"]) == (200, False)
        assert asking.put("/teams/cast/publishing", {"allowed": True}, If_Match=tag).status_code == 412


class TestIdempotencyKey:
    def test_makes_one_however_often_it_comes(self, program, session, cast):
        asking, body = program(cast.owner), {"slug": "shop", "name": "Shop"}
        first, second = (asking.post("/teams/cast/consumers", body, Idempotency_Key="one") for _ in range(2))

        assert (first.status_code, second.status_code) == (201, 201)
        assert second.data == first.data
        assert second.headers["Location"] == first.headers["Location"]
        assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")
        assert session.scalar(select(func.count()).select_from(Consumer)) == 1

    def test_another_body_or_place_is_refused(self, program, cast):
        asking, body = program(cast.owner), {"slug": "shop", "name": "Shop"}
        asking.post("/teams/cast/consumers", body, Idempotency_Key="one")

        for path, other in (("/teams/cast/consumers", body | {"slug": "x"}), ("/teams/cast/plans", body)):
            refused = asking.post(path, other, Idempotency_Key="one")
            assert (refused.status_code, refused.json["code"]) == (422, "used_differently")

    def test_belongs_to_its_token(self, program, cast):
        for who, slug in ((cast.owner, "a"), (cast.publisher, "b")):
            made = program(who).post("/teams/cast/consumers", {"slug": slug, "name": "S"}, Idempotency_Key="one")
            assert made.status_code == 201

    def test_what_was_refused_is_tried_again(self, program, cast):
        asking = program(cast.owner)
        assert (
            asking.post("/teams/cast/consumers", {"slug": "shop", "name": " "}, Idempotency_Key="k").status_code == 422
        )
        assert (
            asking.post("/teams/cast/consumers", {"slug": "shop", "name": "S"}, Idempotency_Key="k").status_code == 201
        )

    def test_a_key_is_told_once(self, program, session, cast):
        consumer = factories.consumer(session, team=cast.team, slug="shop")
        session.commit()
        asking, path = program(cast.developer), "/teams/cast/consumers/shop/keys"

        first = asking.post(path, {"label": "ci"}, Idempotency_Key="one")
        second = asking.post(path, {"label": "ci"}, Idempotency_Key="one")

        assert first.json["key"].startswith(f"pco_{first.json['id']}_")
        assert second.json == first.json | {"key": None}
        session.rollback()
        (key,) = session.scalars(select(Key).where(Key.consumer_id == consumer.id))
        assert (key.public_id, key.created_by_id) == (first.json["id"], cast.developer.id)
        connection = session.connection()
        kept = connection.exec_driver_sql("SELECT body FROM replay").scalar()
        assert first.json["key"].encode() not in bytes(kept)

    @pytest.mark.parametrize("key", ["", " ", "a b", "x" * 101, "ü"])
    def test_has_a_form(self, program, cast, key):
        refused = program(cast.owner).post("/teams", {"slug": "a", "name": "A"}, Idempotency_Key=key)

        assert refused.status_code == 400

    def test_a_document_is_brought_once(self, program, session, cast):
        asking, body = program(cast.publisher), {"text": factories.OPENAPI.decode()}
        first, second = (asking.post("/teams/cast/imports", body, Idempotency_Key="one") for _ in range(2))

        assert (first.status_code, second.data) == (201, first.data)
        assert (second.headers["Location"], second.headers["Idempotent-Replayed"]) == (
            first.headers["Location"],
            "true",
        )
        assert len(session.scalars(select(Import)).all()) == 1
        assert asking.post("/teams/cast/imports", {"text": "openapi: 3"}, Idempotency_Key="one").status_code == 422

    def test_nor_fetched_again_when_the_address_is_gone_by_then(self, program, session, cast, api):
        server = Server()
        server.answers["/a"] = 200, {}, factories.OPENAPI
        asking, body = program(cast.publisher), {"address": server.url("/a")}
        path = "/teams/cast/apis/orders/v1/imports"
        first = asking.post(path, body, Idempotency_Key="one")
        server.server.shutdown()
        server.server.server_close()

        assert asking.post(path, body, Idempotency_Key="one").data == first.data
        assert asking.post(path, body).status_code == 422
        assert len(server.asked) == 1
        assert len(session.scalars(select(Import)).all()) == 1

    def test_what_could_not_be_read_is_not_remembered(self, program, cast):
        server = Server()
        asking, body = program(cast.publisher), {"address": server.url("/a")}
        refused = asking.post("/teams/cast/imports", body, Idempotency_Key="one")
        server.answers["/a"] = 200, {}, factories.OPENAPI
        again = asking.post("/teams/cast/imports", body, Idempotency_Key="one")
        server.server.shutdown()
        server.server.server_close()

        assert (refused.status_code, again.status_code) == (422, 201)
