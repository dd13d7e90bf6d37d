"""What each resource tells and does, beyond what every route is tested for."""

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from portal import doctor, jobs
from portal.accounts import Person
from portal.accounts.models import Invitation
from portal.db import utcnow
from portal.jobs import Job
from portal.registry.models import Plan, UpstreamSecret, Visibility
from tests import factories
from tests.web import logged


@pytest.fixture
def house(session, cast):
    """An API of the cast's, and a consumer of the stranger's that uses it."""
    plan = factories.plan(session, team=cast.team, slug="gold")
    api = factories.api(session, team=cast.team, slug="orders", live=True, plans=[plan], name="Orders")
    consumer = factories.consumer(session, team=cast.stranger.teams[0], slug="guest")
    subscription = factories.subscription(session, consumer, api)
    key, _ = factories.key(session, consumer)
    factories.api(session, live=True)  # noise
    session.commit()
    return api, consumer, subscription, key


class TestLists:
    def test_come_in_pages_that_lead_to_each_other(self, program, session, cast):
        names = [f"Plan {n:02}" for n in range(7)]
        for n, name in enumerate(reversed(names)):
            factories.plan(session, team=cast.team, slug=f"p{n}", name=name)
        session.commit()
        asking, found, path = program(cast.owner), [], "/plans?limit=3"
        while path:
            page = asking.get(path)
            found += [plan["name"] for plan in page.json["items"]]
            link = re.fullmatch(r'<http://127.0.0.1:8000/api/v1([^>]*)>; rel="next"', page.headers.get("Link", ""))
            assert bool(link) == bool(page.json["next"])
            path = link and link[1]
        assert found == names

    def test_go_on_where_the_last_row_was_even_when_it_is_gone(self, program, session, cast):
        for n in range(4):
            factories.plan(session, team=cast.team, slug=f"p{n}", name=f"Plan {n}")
        session.commit()
        asking = program(cast.owner)
        page = asking.get("/plans?limit=2").json
        session.delete(session.scalars(select(Plan).where(Plan.slug == "p1")).one())
        session.commit()

        after = asking.get(f"/plans?limit=2&cursor={page['next']}").json
        assert [plan["slug"] for plan in after["items"]] == ["p2", "p3"]

    def test_keep_their_filters_in_the_link(self, program, session, cast):
        for _ in range(3):
            factories.plan(session, team=cast.team, name="Gold & Co")
        session.commit()
        page = program(cast.owner).get("/plans?limit=1&q=gold%20%26")

        query = urlsplit(page.headers["Link"].partition(">")[0][1:]).query
        assert "q=gold+%26" in query
        assert query.count("cursor=") == 1

    def test_show_what_ones_teams_have_only(self, program, cast, house):
        for path in ("/apis", "/plans", "/consumers"):
            slugs = {each["slug"] for each in program(cast.owner).get(path).json["items"]}
            assert slugs == ({"orders"} if path == "/apis" else {"gold"} if path == "/plans" else set())
        assert len(program(cast.administrator).get("/apis").json["items"]) == 2

    def test_are_narrowed(self, program, cast, house):
        asking = program(cast.administrator)

        assert len(asking.get("/apis?team=cast").json["items"]) == 1
        assert len(asking.get("/apis?state=draft").json["items"]) == 0
        assert len(asking.get("/apis?q=orde&state=published&team=cast").json["items"]) == 1


class TestTeams:
    def test_are_made_renamed_and_deleted(self, program, cast):
        asking = program(cast.stranger)
        made = asking.post("/teams", {"slug": "night", "name": "Night"})
        assert made.json["may_publish"] is False
        assert asking.patch("/teams/night", {"name": "Nights"}).json["name"] == "Nights"
        assert asking.delete("/teams/night").status_code == 204
        assert asking.get("/teams/night").status_code == 404

    def test_that_lose_something_by_a_deletion_are_told(self, app, program, session, cast, house):
        assert program(cast.owner).delete("/teams/cast").status_code == 204
        session.rollback()
        assert [job.kind for job in session.scalars(select(Job))] == ["notice"]

    def test_have_members(self, program, session, cast):
        asking = program(cast.owner)
        made = asking.post("/teams/cast/members", {"email": cast.stranger.email.upper(), "role": "developer"})
        assert (made.status_code, made.json["person"]) == (201, cast.stranger.id)
        path = made.headers["Location"].removeprefix("/api/v1")
        assert asking.patch(path, {"role": "publisher"}).json["role"] == "publisher"
        assert len(asking.get("/teams/cast/members").json["items"]) == 4
        assert asking.delete(path).status_code == 204
        assert asking.get(path).status_code == 404

    def test_keep_an_owner(self, program, cast):
        asking = program(cast.owner)
        own = next(each for each in asking.get("/teams/cast/members").json["items"] if each["role"] == "owner")

        assert asking.delete(f"/teams/cast/members/{own['id']}").status_code == 409

    def test_who_looks_for_accounts_is_slowed(self, program, cast):
        asking = program(cast.owner)
        answers = [
            asking.post("/teams/cast/members", {"email": f"x{n}@portico.example", "role": "owner"}).status_code
            for n in range(14)
        ]

        assert answers[0] == 422
        assert answers[-1] == 429


class TestSubscriptions:
    def test_are_made_limited_and_ended(self, program, session, cast, house):
        factories.consumer(session, team=cast.team, slug="shop")
        session.commit()
        asking, path = program(cast.developer), "/teams/cast/consumers/shop/subscriptions"
        made = asking.post(path, {"api": "cast/orders/v1", "plan": "gold", "ends_at": "2999-01-01T02:00:00+02:00"})
        assert (made.status_code, made.json["ends_at"]) == (201, "2999-01-01T00:00:00Z")
        one = f"{path}/{made.json['id']}"
        assert asking.patch(one, {"ends_at": None}).json["ends_at"] is None
        assert asking.post(path, {"api": "cast/orders/v1", "plan": "gold"}).status_code == 409
        assert asking.delete(one).status_code == 204
        assert asking.get(one).json["state"] == "ended"
        assert asking.patch(one, {"ends_at": None}).status_code == 409

    def test_name_what_is_wrong(self, program, session, cast, house):
        asking, path = program(cast.stranger), f"/teams/{cast.stranger.teams[0].slug}/consumers/guest/subscriptions"
        for body, field in (
            ({"api": "cast/nothing/v1", "plan": "gold"}, "api"),
            ({"api": "nonsense", "plan": "gold"}, "api"),
            ({"api": "cast/orders/v1", "plan": "silver"}, "plan"),
        ):
            answer = asking.post(path, body)
            assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)

    def test_to_what_one_may_not_know_of_do_not_exist(self, program, session, cast, house):
        api = house[0]
        api.visibility = Visibility.TEAM
        session.commit()
        asking, path = program(cast.stranger), f"/teams/{cast.stranger.teams[0].slug}/consumers/guest/subscriptions"
        hidden = asking.post(path, {"api": "cast/orders/v1", "plan": "gold"})
        missing = asking.post(path, {"api": "cast/orders/v2", "plan": "gold"})

        assert hidden.status_code == missing.status_code == 422
        assert hidden.json["detail"].replace("v1", "v2") == missing.json["detail"]

    def test_to_ones_api_are_seen_by_its_team(self, program, cast, house):
        (one,) = program(cast.developer).get("/teams/cast/apis/orders/v1/subscribers").json["items"]

        assert (one["consumer"], one["api"], one["plan"]) == ("guest", "cast/orders/v1", "gold")


class TestKeys:
    def test_are_changed_and_revoked(self, program, session, cast, house):
        asking = program(cast.stranger)
        path = f"/teams/{cast.stranger.teams[0].slug}/consumers/guest/keys/{house[3].public_id}"
        changed = asking.patch(path, {"label": "laptop"})
        assert (changed.json["label"], changed.json["expires_at"]) == ("laptop", None)
        assert asking.patch(path, {"expires_at": "2999-01-01T00:00:00Z"}).json["label"] == "laptop"
        assert asking.delete(path).status_code == 204
        assert asking.get(path).json["state"] == "revoked"

    def test_that_expired_already_are_not_issued(self, program, session, cast, house):
        path = f"/teams/{cast.stranger.teams[0].slug}/consumers/guest/keys"
        refused = program(cast.stranger).post(path, {"expires_at": "2001-01-01T00:00:00Z"})

        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "expires_at")


class TestSecrets:
    def test_are_stored_and_never_told(self, program, session, cast):
        asking = program(cast.publisher)
        stored = asking.post("/teams/cast/secrets", {"name": "token", "kind": "header", "value": "hush-hush"})
        replaced = asking.put("/teams/cast/secrets/token", {"value": "hush-again"})
        answers = [stored, replaced, asking.get("/teams/cast/secrets"), asking.get("/teams/cast/secrets/token")]

        assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
        assert not any("hush" in answer.text for answer in answers)
        assert replaced.json["replaced_at"] is not None
        session.rollback()
        assert b"hush" not in bytes(session.scalars(select(UpstreamSecret.sealed)).one())

    @pytest.mark.parametrize(
        ("texts", "field"),
        [
            ({"kind": "header"}, "value"),
            ({"kind": "header", "user": "x"}, "user"),
            ({"kind": "basic", "user": "a:b"}, "user"),
            ({"kind": "client_certificate", "chain_pem": "x", "key_pem": "y"}, "chain_pem"),
            ({"kind": "other"}, "kind"),
        ],
        ids=lambda value: value if isinstance(value, str) else "-".join(value),
    )
    def test_have_the_texts_of_their_kind(self, program, cast, texts, field):
        refused = program(cast.publisher).post("/teams/cast/secrets", {"name": "token"} | texts)

        assert refused.status_code == 422
        assert field in {each["field"] for each in refused.json["errors"]}

    def test_that_a_draft_names_stay(self, program, session, cast):
        factories.upstream_secret(session, team=cast.team, name="token")
        credential = {"kind": "header", "secret": "token", "header": "X-Token"}
        upstream = {"targets": [{"url": "http://orders.example"}], "credential": credential}
        factories.api(session, team=cast.team, upstream=upstream)
        session.commit()
        refused = program(cast.owner).delete("/teams/cast/secrets/token")

        assert (refused.status_code, refused.json["code"]) == (409, "in_use")


class TestCallsAndTraffic:
    @pytest.fixture
    def call(self, app, engine, tmp_path, house):
        api, consumer, _, key = house
        written = [logged.line(api, consumer, key, ua="curl/8", ip="192.0.2.9") for _ in range(3)]
        logged.store(engine, tmp_path, *written)
        return logged.id_of(written[0])

    def test_of_own_consumers_are_told_whole(self, program, cast, house, call):
        asking = program(cast.stranger)
        one = asking.get(f"/calls/{call}").json

        assert one["key"] == house[3].public_id
        assert (one["api"], one["is_masked"]) == ("cast/orders/v1", False)
        assert one["user_agent"] == "curl/8"
        assert len(asking.get("/calls").json["items"]) == 3

    def test_of_others_on_own_apis_without_key_address_and_agent(self, program, cast, house, call):
        one = program(cast.publisher).get(f"/calls/{call}").json

        assert one["is_masked"] is True
        assert (one["key"], one["address"], one["user_agent"]) == (None, None, None)

    def test_of_others_are_not_there(self, program, cast, house, call):
        asking = program(cast.developer)

        assert asking.get(f"/calls/{call}").status_code == 404
        assert asking.get("/calls").json["items"] == []
        assert asking.get("/calls/x").status_code == 404

    def test_are_filtered_and_paged(self, program, cast, house, call):
        asking = program(cast.stranger)
        first = asking.get("/calls?limit=2&api=cast/orders/v1&status=2xx").json
        rest = asking.get(f"/calls?limit=2&api=cast/orders/v1&status=2xx&cursor={first['next']}").json

        assert [len(first["items"]), len(rest["items"])] == [2, 1]
        assert rest["next"] is None
        assert asking.get("/calls?status=404").json["items"] == []
        assert len(asking.get(f"/calls?key=pco_{house[3].public_id}").json["items"]) == 3

    def test_are_counted_as_on_the_charts(self, program, cast, house, call):
        for who in (cast.stranger, cast.publisher, cast.administrator):
            asking = program(who)
            series = asking.get("/traffic?window=1h").json
            assert series["counts"]["ok"] == 3
            assert sum(step["counts"]["ok"] for step in series["steps"]) == 3
            assert len(series["steps"]) == 60
            (api,) = asking.get("/traffic/apis").json["items"]
            (consumer,) = asking.get("/traffic/consumers").json["items"]
            assert (api["label"], api["calls"], consumer["calls"]) == ("cast/orders/v1", 3, 3)
            assert asking.get("/traffic/reasons").json["items"] == [{"reason": "ok", "calls": 3}]
        assert program(cast.developer).get("/traffic").json["counts"]["ok"] == 0

    def test_times_of_ones_own(self, program, cast, house, call):
        now = utcnow()
        since = f"{now.replace(year=now.year - 1):%Y-%m-%dT%H:%M:%SZ}"

        assert program(cast.stranger).get(f"/traffic?since={since}").json["counts"]["ok"] == 3

    def test_are_narrowed_to_an_operation(self, app, engine, tmp_path, program, session, cast):
        digest = factories.openapi_document(session)
        api = factories.api(session, team=cast.team, slug="pets", live=True, path="/pets", openapi=digest)
        consumer = factories.consumer(session, team=cast.stranger.teams[0])
        session.commit()
        at = f"{api.id}|1|h|10000000|/pets|x-api-key"
        paths = ("/pets/pets/1", "/pets/pets/2", "/pets/nothing")
        written = [logged.line(api, consumer, p=path, r=at) for path in paths]
        logged.store(engine, tmp_path, *written)
        asking = program(cast.publisher)
        of, name = "api=cast/pets/v1", "show"

        assert {each["operation"] for each in asking.get("/calls").json["items"]} == {name, None}
        assert len(asking.get(f"/calls?{of}&operation={name}").json["items"]) == 2
        assert len(asking.get(f"/calls?{of}&operation=-").json["items"]) == 1
        assert asking.get(f"/traffic?{of}&operation={name}").json["counts"]["ok"] == 2
        assert asking.get(f"/traffic?{of}&operation=-").json["counts"]["ok"] == 1
        assert asking.get(f"/traffic?operation={name}").json["errors"][0]["field"] == "operation"
        assert [
            (each["id"], each["path"], each["calls"]) for each in asking.get(f"/traffic/operations?{of}").json["items"]
        ] == [(name, "/pets/{id}", 2), (None, None, 1)]
        assert asking.get("/traffic/operations").json["errors"][0]["field"] == "api"
        assert program(cast.stranger).get(f"/traffic/operations?{of}").status_code == 422


class TestAdministration:
    def test_people_are_made_with_a_password_that_is_told_once(self, program, session, cast):
        body = {"email": "Jun@Portico.example", "name": "Jun"}
        asking = program(cast.administrator)
        first, again = (asking.post("/people", body, Idempotency_Key="one") for _ in range(2))

        assert len(first.json["password"]) == 16
        assert (again.json["password"], again.json["id"]) == (None, first.json["id"])
        session.rollback()
        made = session.get_one(Person, first.json["id"])
        assert (made.email, made.must_change_password) == ("Jun@portico.example", True)

    def test_who_is_shut_out_loses_tokens_at_once(self, program, cast):
        theirs, asking = program(cast.owner), program(cast.administrator)
        assert theirs.get("/me").status_code == 200
        shut = asking.patch(f"/people/{cast.owner.id}", {"is_active": False})
        assert shut.json["is_active"] is False
        assert theirs.get("/me").status_code == 401

    def test_the_last_administrator_stays(self, program, cast):
        asking = program(cast.administrator)
        for change in ({"is_administrator": False}, {"is_active": False}):
            assert asking.patch(f"/people/{cast.administrator.id}", change).status_code == 409

    def test_an_administrators_token_is_no_more_than_they_are(self, program, session, cast):
        theirs = program(cast.administrator)
        factories.person(session, is_administrator=True)
        session.commit()
        assert theirs.patch(f"/people/{cast.administrator.id}", {"is_administrator": False}).status_code == 200
        assert theirs.get("/people").status_code == 403

    def test_passwords_are_reset_and_told_by_mail(self, program, session, cast):
        answer = program(cast.administrator).post(f"/people/{cast.owner.id}/password")

        assert len(answer.json["password"]) == 16
        session.rollback()
        assert [job.kind for job in session.scalars(select(Job))] == ["mail"]

    def test_invitations(self, program, session, cast):
        asking = program(cast.administrator)
        made = asking.post("/invitations", {"email": "guest@portico.example"})
        assert (made.status_code, made.json["invited_by"]) == (201, cast.administrator.name)
        session.rollback()
        nonce = session.scalars(select(Invitation.nonce)).one()
        assert nonce not in made.text
        one = f"/invitations/{made.json['id']}"
        assert asking.post(f"{one}/send").status_code == 200
        assert asking.post("/invitations", {"email": "guest@portico.example"}).status_code == 409
        assert asking.delete(one).status_code == 204
        assert asking.get("/invitations").json["items"] == []

    def test_no_address_is_no_invitation(self, program, cast):
        assert program(cast.administrator).post("/invitations", {"email": "guest"}).status_code == 422

    def test_the_trail_tells_owners_no_addresses(self, program, cast):
        owner = program(cast.owner)
        owner.patch("/teams/cast", {"name": "Troupe"})
        (mine,) = owner.get("/teams/cast/audit?action=changed").json["items"]
        assert (mine["address"], mine["who"], mine["changes"][0]["after"]) == (None, cast.owner.name, "Troupe")
        assert mine["by"].startswith("token ppt_")

        all_of_it = program(cast.administrator).get("/audit?limit=1").json
        older = program(cast.administrator).get(f"/audit?limit=1&cursor={all_of_it['next']}").json
        assert older["items"][0]["id"] < all_of_it["items"][0]["id"]
        changed = program(cast.administrator).get("/audit?action=changed&kind=team").json["items"]
        assert changed[0]["address"] == "127.0.0.1"

    def test_people_are_renamed(self, program, cast):
        asking, one = program(cast.administrator), f"/people/{cast.owner.id}"
        assert asking.patch(one, {"name": " Olga  Orlova "}).json["name"] == "Olga Orlova"
        assert asking.patch(one, {"name": "  "}).json["errors"][0]["field"] == "name"
        assert asking.post("/people", {"email": "x@portico.example", "name": " "}).status_code == 422

    def test_what_envoy_gets(self, program, session, cast, house):
        asking = program(cast.administrator)
        files = {each["name"]: each for each in asking.get("/gateway/files").json["items"]}
        routes = asking.get("/gateway/files/rds/rds.json").json
        keys = asking.get("/gateway/files/data/keys.bin").json

        assert routes["text"].count("orders") > 0
        assert (routes["size"], routes["meaning"]) == (files["rds/rds.json"]["size"], files["rds/rds.json"]["meaning"])
        assert keys["text"] == "1 keys, 1 subscriptions, 1 consumers"
        assert house[3].public_id not in "".join(asking.get(f"/gateway/files/{name}").text for name in files)
        for name in ("rds", "../etc/passwd", "nothing.json"):
            assert asking.get(f"/gateway/files/{name}").status_code == 404

    def test_the_installation_tells_no_secret(self, app, program, cast):
        app.extensions["portico"] = replace(app.extensions["portico"], metrics_token="hush-hush-hush-hush-hush-hush")
        found = program(cast.administrator).get("/installation")
        settings = {each["name"]: each for each in found.json["settings"]}

        assert (found.json["database"], found.json["has_sample"]) == ("sqlite", False)
        assert settings["PORTAL_METRICS_TOKEN"]["value"] == "set"
        assert settings["PORTAL_API_PER_MINUTE"]["is_default"] is True
        assert "hush" not in found.text
        assert program(cast.administrator).delete("/installation/sample").status_code == 204

    def test_how_it_does(self, program, session, cast):
        asking = program(cast.administrator)
        assert asking.get("/status").json["examined_at"] is None
        assert asking.post("/status/examine").status_code == 409
        jobs.repeat(session, doctor.KIND, doctor.EVERY, now=utcnow() + timedelta(minutes=5))
        session.commit()
        doctor.keep(session, [doctor.Finding("disk", "It is full.", "Make room.")], now=utcnow())
        session.commit()
        assert asking.post("/status/examine").status_code == 204

        found = asking.get("/status").json
        assert found["is_being_examined"] is True
        assert found["examined_at"] is not None
        assert {"about": "disk", "detail": "It is full.", "remedy": "Make room.", "is_note": False} in found["findings"]
        assert found["worker"] == {"last_turn_at": None, "jobs_due": 1, "jobs_given_up": 0}

    def test_the_gateway(self, program, cast):
        assert program(cast.administrator).get("/gateway").json == {"revision": 0, "live_on": 0, "of": 0, "nodes": []}


class TestDocument:
    def test_is_for_everybody_and_names_this_portal(self, client):
        document = client.get("/api/v1/openapi.json").json

        assert document["openapi"].startswith("3.1")
        assert document["servers"] == [{"url": "http://127.0.0.1:8000/api/v1"}]

    def test_is_valid_and_says_something_of_each_operation(self):
        from openapi_spec_validator import validate

        from portal.rest import document

        found = document("https://portico.example")
        validate(found)
        operations = [each for path in found["paths"].values() for each in path.values()]
        assert [each["operationId"] for each in operations if not each["summary"]] == []
        assert len({each["operationId"] for each in operations}) == len(operations)
        assert "Answer" not in str(found["components"]["schemas"].keys())

    def test_imports_into_portico_itself(self):
        import json

        from portal import openapi
        from portal.rest import document

        read = openapi.read(json.dumps(document("https://portico.example")).encode())
        assert (read.title, read.warnings) == ("Portico", ())
        assert len(read.operations) == sum(len(path) for path in document()["paths"].values())
