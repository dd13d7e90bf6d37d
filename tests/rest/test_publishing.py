"""What a publish would do and how far it has come, for programs as for people."""

import pytest

from portal.gateway.models import Node
from portal.registry.models import Revision
from portal.registry.operation_changes import MOST_COMPARED
from tests import factories
from tests.rest.test_lives import pets

PATH = "/teams/cast/apis/orders/v1"


@pytest.fixture
def api(session, cast):
    made = factories.api(session, team=cast.team, slug="orders", live=True, name="Orders", path="/orders")
    session.commit()
    return made


def changed(asking, **values):
    document = asking.get(f"{PATH}/draft").json["document"]
    return asking.put(f"{PATH}/draft", document | values, If_Match="*")


def described(asking, **paths):
    number = asking.post(f"{PATH}/imports", {"text": pets(**paths)}).json["id"]
    assert asking.post(f"/imports/{number}/apply", {"take": []}).status_code == 200


class TestPreview:
    def test_is_the_difference_that_envoy_gets(self, program, cast, api):
        asking = program(cast.publisher)
        same = asking.get(f"{PATH}/draft/preview").json
        assert [line.strip()[-30:] for line in same["difference"] if line[0] in "+-"] == [
            f'{api.id}|{number}|h|10000000|/orders|x-api-key",'[-30:] for number in (1, 2)
        ]
        assert (same["cut"], same["problems"]) == (0, [])
        changed(asking, path="/bestellungen")

        draft = asking.get(f"{PATH}/draft/preview").json["difference"]
        assert any(line.startswith("-") and '"/orders"' in line for line in draft)
        assert any(line.startswith("+") and '"/bestellungen"' in line for line in draft)
        asking.post(f"{PATH}/releases", {}, If_Match="*")
        back = asking.get(f"{PATH}/releases/1/preview").json["difference"]
        assert any(line.startswith("+") and '"/orders"' in line for line in back)

    def test_says_why_gateways_would_not_serve_it(self, program, session, cast, api):
        secret = factories.upstream_secret(session, team=cast.team, name="token")
        session.commit()
        asking = program(cast.publisher)
        upstream = asking.get(f"{PATH}/draft").json["document"]["upstream"]
        changed(asking, upstream=upstream | {"credential": {"kind": "header", "secret": "token", "header": "X-Token"}})
        session.delete(secret)
        session.commit()

        (problem,) = asking.get(f"{PATH}/draft/preview").json["problems"]
        assert "token" in problem

    def test_holds_no_secret(self, program, session, cast, api):
        factories.upstream_secret(session, team=cast.team, name="token", texts={"value": "hush-hush-hush"})
        session.commit()
        asking = program(cast.publisher)
        upstream = asking.get(f"{PATH}/draft").json["document"]["upstream"]
        changed(asking, upstream=upstream | {"credential": {"kind": "header", "secret": "token", "header": "X-Token"}})
        answer = asking.get(f"{PATH}/draft/preview")

        assert "x-token" in answer.text.lower()
        assert "hush" not in answer.text

    def test_is_for_those_who_may_publish(self, program, cast, api):
        for path in ("draft/preview", "releases/1/preview", "draft/targets"):
            assert program(cast.developer).get(f"{PATH}/{path}").status_code == 403


class TestOperationChanges:
    def test_are_told_word_by_word_against_any_release(self, program, cast, api):
        asking = program(cast.publisher)
        nothing = asking.get(f"{PATH}/draft/operation-changes").json
        assert nothing == {
            **{"since": 1, "is_known": True, "is_whole": True},
            **{"added": 0, "removed": 0, "changed": 0, "items": []},
        }
        described(asking, pets="All pets", cats="Cats")
        assert asking.get(f"{PATH}/draft/operation-changes").json["added"] == 2
        asking.post(f"{PATH}/releases", {}, If_Match="*")
        described(asking, pets="Every pet", dogs="Dogs")

        found = program(cast.developer).get(f"{PATH}/draft/operation-changes").json
        assert (found["since"], found["added"], found["removed"], found["changed"]) == (2, 1, 1, 1)
        assert [(each["kind"], each["method"], each["path"], each["is_breaking"]) for each in found["items"]] == [
            ("removed", "GET", "/cats", True),
            ("changed", "GET", "/pets", False),
            ("added", "GET", "/dogs", False),
        ]
        assert all(each["id"] and each["sentences"] for each in found["items"])
        back = asking.get(f"{PATH}/releases/1/operation-changes").json
        assert (back["since"], back["removed"], back["is_whole"]) == (2, 2, False)
        assert asking.get(f"{PATH}/releases/2/operation-changes?since=1").json["added"] == 2
        assert asking.get(f"{PATH}/releases/2/operation-changes?since=9").status_code == 422

    def test_of_very_large_documents_are_what_comes_and_goes(self, program, cast, api):
        asking = program(cast.publisher)
        many = {f"p{n}": "Many" for n in range(MOST_COMPARED // 2)}
        described(asking, **many, cats="Cats")
        asking.post(f"{PATH}/releases", {}, If_Match="*")
        described(asking, **many, dogs="Dogs")

        found = asking.get(f"{PATH}/draft/operation-changes").json
        assert (found["is_known"], found["is_whole"]) == (True, False)
        assert [(each["kind"], each["id"], each["path"]) for each in found["items"]] == [
            ("removed", None, "/cats"),
            ("added", None, "/dogs"),
        ]


class TestLive:
    def node(self, session, revision, **fields):
        name = fields.pop("name", f"node-{revision}")
        session.add(Node(**{"name": name, "instance_id": name, "state": "serving", "revision": revision} | fields))
        session.commit()

    def test_is_counted_as_gateways_follow(self, program, session, cast, api):
        asking, path = program(cast.developer), f"{PATH}/releases/1/live"
        current = session.get(Revision, 1).n
        session.rollback()
        assert asking.get(path).json == {"is_live": True, "revision": current, "live_on": 0, "of": 0, "problems": []}
        self.node(session, current)
        self.node(session, current - 1)
        self.node(session, current - 1, name="stopped", state="stopped")
        assert [asking.get(path).json[name] for name in ("live_on", "of")] == [1, 2]

        # Something else changes: the question about that revision stays the same.
        session.get(Revision, 1).n = current + 1
        session.commit()
        assert asking.get(f"{path}?revision={current}").json["live_on"] == 1
        assert asking.get(path).json["live_on"] == 0

    def test_names_what_keeps_gateways_from_serving_it(self, program, session, cast, api):
        problems = [
            {"api": "cast/orders/v1", "sentence": "It lacks a secret."},
            {"api": "x/y/v1", "sentence": "Not ours."},
        ]
        self.node(session, session.get(Revision, 1).n, state="troubled", problems=problems)

        assert program(cast.developer).get(f"{PATH}/releases/1/live").json["problems"] == ["It lacks a secret."]

    def test_an_older_release_is_not_live(self, program, cast, api):
        asking = program(cast.publisher)
        changed(asking, description="New.")
        asking.post(f"{PATH}/releases", {}, If_Match="*")

        assert [asking.get(f"{PATH}/releases/{n}/live").json["is_live"] for n in (1, 2)] == [False, True]


class TestTargets:
    def test_are_looked_up(self, program, cast, api):
        asking = program(cast.publisher)
        changed(asking, upstream={"targets": [{"url": "http://127.0.0.1:1"}, {"url": "http://nowhere.invalid"}]})

        found = asking.get(f"{PATH}/draft/targets").json
        assert (found["of"], len(found["problems"])) == (2, 1)
        assert "nowhere.invalid" in found["problems"][0]


class TestOriginal:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_is_the_document_as_it_was_brought(self, program, session, cast, encoding):
        text = "openapi: 3.1.0 # größer\ninfo: {title: x, version: '1'}\npaths: {}\n"
        digest = factories.openapi_document(session, text.encode(encoding))
        factories.api(session, team=cast.team, slug="orders", openapi=digest)
        session.commit()

        assert program(cast.developer).get(f"{PATH}/draft/openapi").json == {"sha256": digest, "text": text}

    def test_is_not_there_where_none_was_brought(self, program, cast, api):
        answer = program(cast.developer).get(f"{PATH}/draft/openapi")

        assert (answer.status_code, answer.json["detail"]) == (404, "This draft has no OpenAPI document. Import one.")
