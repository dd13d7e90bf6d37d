import pytest
from sqlalchemy import select

from portal import jobs, registry
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.errors import Invalid
from portal.notify.models import Notice
from portal.registry import leaks
from portal.registry.keys import new_token
from portal.registry.models import Revision
from tests import factories


def reported(session, pasted: str, found_at: str = "") -> dict:
    """What the door hands on to the worker."""
    leaks.report(session, pasted, found_at=found_at)
    session.flush()
    job = session.scalars(select(jobs.Job).where(jobs.Job.kind == leaks.JOB).order_by(jobs.Job.id.desc())).first()
    return job.payload


class TestAtTheDoor:
    def test_only_the_hash_goes_on(self, session):
        token = new_token()

        payload = reported(session, f"  {token.value}\n", f"in https://example.com/?k={token.value} and elsewhere")

        assert payload == {
            "sha256": token.sha256.hex(),
            "found_at": "in https://example.com/?k=pco_… and elsewhere",
        }

    def test_a_key_that_there_is_and_one_that_there_is_not_leave_the_same(self, session):
        _, token = factories.key(session, factories.consumer(session))

        known, unknown = reported(session, token.value), reported(session, new_token().value)

        assert known.keys() == unknown.keys()
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "reported as leaked")).all() == []

    @pytest.mark.parametrize("part", [slice(0, 20), slice(0, -1), slice(4, None), slice(0, 0)])
    def test_what_has_not_the_form_of_a_key_is_refused_and_not_quoted(self, session, part):
        pasted = new_token().value[part]

        with pytest.raises(Invalid) as refused:
            leaks.report(session, pasted, found_at="")

        assert list(refused.value.fields) == ["key"]
        assert not pasted or pasted not in str(refused.value)
        assert session.scalars(select(jobs.Job)).all() == []

    def test_a_mistyped_key_is_refused(self, session):
        value = new_token().value
        with pytest.raises(Invalid):
            leaks.report(session, value[:-1] + ("a" if value[-1] != "a" else "b"), found_at="")

    def test_places_are_cut(self):
        assert len(leaks.masked("x" * 9_000)) == leaks.LONGEST_PLACE
        assert leaks.masked(" a\n\0b ppt_abcdefghijkl_secret ") == "a b pco_…"


class TestLookingUp:
    def test_a_key_that_works_is_revoked_and_its_team_told(self, session):
        consumer = factories.consumer(session, name="Shop", slug="shop")
        key, token = factories.key(session, consumer, label="laptop")
        bystander, _ = factories.key(session, consumer)
        session.commit()
        before = session.scalar(select(Revision.n))

        said = leaks.look_up(session, reported(session, token.value, "github.com/a/b"))
        session.commit()

        assert key.state_at(utcnow()) == "revoked"
        assert (key.leaked, key.found_at, bystander.revoked_at) == (True, "github.com/a/b", None)
        assert session.scalar(select(Revision.n)) == before + 1
        (notice,) = session.scalars(select(Notice))
        assert (notice.event, notice.team_id) == ("key.leaked", consumer.team_id)
        assert "github.com/a/b" in notice.text
        assert notice.link == f"/consumers/{consumer.team.slug}/shop/keys/{key.public_id}"
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "reported as leaked"))
        assert entry.changes == {"found_at": [None, "github.com/a/b"]}
        told = [said, notice.text, notice.subject, str(notice.data), str(entry.changes), entry.label]
        assert not any(token.value[17:] in each for each in told)

    def test_a_second_report_and_an_unknown_key_change_nothing(self, session):
        key, token = factories.key(session, factories.consumer(session))
        payload = reported(session, token.value, "first")
        leaks.look_up(session, payload)
        at = key.revoked_at

        assert leaks.look_up(session, payload | {"found_at": "second"}) == ""
        assert leaks.look_up(session, reported(session, new_token().value)) == ""
        assert (key.revoked_at, key.found_at) == (at, "first")
        assert len(session.scalars(select(Notice)).all()) == 1

    def test_a_leaked_successor_gives_the_key_before_it_its_time_back(self, session):
        key, _ = factories.key(session, factories.consumer(session))
        _, token = registry.rotate(session, key, by=None, stays_until=utcnow().replace(year=2090), expires_at=None)
        leaks.look_up(session, reported(session, token.value))

        assert key.expires_at is None
