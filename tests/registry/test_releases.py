"""An old release brought back. `publish` itself stands in test_apis.py."""

import pytest
from sqlalchemy import select

from portal import registry
from portal.errors import Changed, Conflict, PathTaken
from portal.registry import revision
from portal.registry.models import Api, Mount, Release
from tests import factories


@pytest.fixture(autouse=True)
def _noise(session):
    factories.api(session, live=True, path="/noise/v1", host="noise.example")


@pytest.fixture
def api(session) -> Api:
    """Release 1 at /first, release 2 at /second, and a draft that is neither."""
    made = factories.api(session, live=True, name="First", path="/first")
    save(session, made, name="Second", path="/second")
    registry.publish(session, made, by=None, expected=made.draft_number)
    save(session, made, name="Third", path="/third")
    session.commit()
    return made


def save(session, api: Api, **values) -> None:
    document = factories.document(**{"path": api.draft["path"]} | values)
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)


def release(api: Api, number: int) -> Release:
    return next(each for each in api.releases if each.number == number)


def republish(session, api: Api, number: int, **values) -> Release:
    values = {"by": None, "expected": api.draft_number} | values
    return registry.republish(session, api, release(api, number), **values)


def mounts(session, api: Api) -> list[str]:
    return list(session.scalars(select(Mount.path).where(Mount.api_id == api.id)))


class TestRepublish:
    def test_it_is_a_new_release_that_says_what_it_brought_back(self, session, api):
        made = republish(session, api, 1, note=" Too many errors. ")

        assert (made.number, made.copy_of, made.note) == (3, 1, "Too many errors.")
        assert made.document == release(api, 1).document
        assert api.live_release is made
        assert mounts(session, api) == ["/first"]

    def test_the_draft_stays(self, session, api):
        republish(session, api, 1)

        assert (api.name, api.draft["path"]) == ("Third", "/third")
        assert api.has_unpublished_changes

    def test_gateways_are_told(self, session, api):
        before = revision.current(session)
        republish(session, api, 1)
        session.commit()

        assert revision.current(session) == before + 1

    def test_the_lifecycle_and_the_offer_stay(self, session, api):
        registry.offer_plans(session, api, [factories.plan(session, team=api.team)])
        registry.close(session, api)
        republish(session, api, 1)

        assert api.closed
        assert len(api.plans) == 1

    def test_an_api_that_was_unpublished_comes_back(self, session, api):
        registry.unpublish(session, api)
        made = republish(session, api, 2)

        assert (made.number, made.copy_of, api.state) == (3, 2, "published")

    def test_a_path_that_is_another_apis_by_now(self, session, api):
        factories.api(session, live=True, name="Rival", path="/first/of/all")

        with pytest.raises(PathTaken, match="/first already belongs to Rival"):
            republish(session, api, 1)

    def test_a_secret_that_is_gone(self, session):
        team = factories.team(session)
        secret = factories.upstream_secret(session, team=team, name="token")
        credential = {"kind": "header", "secret": "token", "header": "X-Token"}
        upstream = {"targets": [{"url": "http://orders.example"}], "credential": credential}
        api = factories.api(session, team=team, live=True, upstream=upstream)
        save(session, api)
        registry.publish(session, api, by=None, expected=2)
        session.delete(secret)
        session.flush()

        with pytest.raises(Conflict, match="names the secret token"):
            republish(session, api, 1)

    def test_the_live_one(self, session, api):
        with pytest.raises(Conflict, match="Release 2 of Third is live already"):
            republish(session, api, 2)

    def test_one_that_says_what_the_live_one_says(self, session, api):
        republish(session, api, 1)

        with pytest.raises(Conflict, match="Release 1 of Third says the same as release 3"):
            republish(session, api, 1)

    def test_one_that_cannot_be_read_any_more(self, session, api):
        release(api, 1).document = {"schema_version": 0}

        with pytest.raises(Conflict, match="cannot read"):
            republish(session, api, 1)

        assert mounts(session, api) == ["/second"]

    def test_one_of_another_api(self, session, api):
        other = factories.api(session, live=True)

        with pytest.raises(Conflict, match="has no such release"):
            registry.republish(session, api, other.live_release, by=None, expected=api.draft_number)

    def test_a_draft_that_changed_meanwhile(self, session, api):
        with pytest.raises(Changed):
            republish(session, api, 1, expected=1)

    def test_another_release_went_live_meanwhile(self, session, api):
        republish(session, api, 1)
        said = "Release 3 of Third was published since you opened this page"

        with pytest.raises(Conflict, match=said):
            registry.publish(session, api, by=None, expected=api.draft_number, replacing=2)
        with pytest.raises(Conflict, match=said):
            republish(session, api, 2, replacing=2)

    def test_it_was_unpublished_meanwhile(self, session, api):
        registry.unpublish(session, api)

        with pytest.raises(Conflict, match="Third was unpublished since"):
            republish(session, api, 1, replacing=2)


class TestObstacles:
    def test_none(self, session, api):
        assert registry.obstacles(session, api, api.draft, by=None) == []

    def test_they_are_what_publishing_would_refuse(self, session, api):
        factories.api(session, live=True, name="Rival", path="/third")
        credential = {"kind": "header", "secret": "token", "header": "X-Token"}
        upstream = {"targets": [{"url": "http://orders.example"}], "credential": credential}
        save(session, api, upstream=upstream)

        found = registry.obstacles(session, api, api.draft, by=None)

        assert [type(each) for each in found] == [Conflict, PathTaken]
        assert mounts(session, api) == ["/second"]
