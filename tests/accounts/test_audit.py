import pytest
from sqlalchemy import create_engine, delete, select, text, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from portal import accounts, migrate
from portal.accounts import Role, audit
from portal.accounts.audit import Actor, AuditEntry
from portal.db import engine_options, engine_url
from tests import factories
from tests.conftest import sign_in


def entries(session: Session, kind: str | None = None) -> list[AuditEntry]:
    chosen = select(AuditEntry).order_by(AuditEntry.id)
    return list(session.scalars(chosen.where(AuditEntry.kind == kind) if kind else chosen))


class TestChanges:
    def test_adding_changing_and_deleting_are_entries_of_the_same_transaction(self, session):
        audit.act_as(session, Actor(7, "page", "192.0.2.1"))
        plan = factories.plan(session, slug="gold", per_second=10)
        plan_team = plan.team.slug
        session.commit()
        plan.per_second = 20
        session.flush()
        session.rollback()
        plan.per_second = 30
        session.commit()
        session.delete(plan)
        session.commit()

        made, changed, deleted = entries(session, "plan")
        assert [each.action for each in (made, changed, deleted)] == ["created", "changed", "deleted"]
        assert {(each.person_id, each.by, each.address, each.label) for each in (made, changed, deleted)} == {
            (7, "page", "192.0.2.1", f"{plan_team}/gold")
        }
        assert made.changes["per_second"] == [None, 10]
        assert changed.changes == {"per_second": [10, 30]}
        assert deleted.changes["per_second"] == [30, None]

    def test_a_document_is_told_path_by_path(self, session):
        api = factories.api(session)
        session.commit()
        api.draft = api.draft | {"description": "New words."}
        session.commit()

        changed = entries(session, "api")[-1]
        assert changed.changes == {"draft.description": ["", "New words."]}

    def test_names_addresses_and_passwords_of_people_never_reach_it(self, session):
        person = factories.person(session, name="Quirin Quelle", email="quirin@portico.example")
        session.commit()
        person.name, person.password = "Other Words", "hash-of-another"
        session.commit()

        found = entries(session, "person")
        assert found[-1].changes == {"name": ["…", "…"], "password": ["…", "…"]}
        told = " ".join(f"{each.label} {each.changes}" for each in found)
        for secret in ("Quirin", "quirin", "Other", "hash-of", person.fs_uniquifier):
            assert secret not in told

    def test_what_ends_sessions_alone_is_no_entry(self, session):
        person = factories.person(session)
        session.commit()
        before = len(entries(session))
        person.fs_uniquifier = "f" * 32
        session.commit()

        assert len(entries(session)) == before

    def test_a_role_is_told_with_both_values(self, session, cast):
        member = next(each for each in cast.team.memberships if each.person == cast.developer)
        accounts.change_role(session, member, Role.PUBLISHER)
        session.commit()

        assert entries(session, "membership")[-1].changes == {"role": ["developer", "publisher"]}

    def test_what_happened_without_a_change_is_recorded(self, session):
        person = factories.person(session)
        audit.record(session, "signed in", person, method="password")
        session.commit()

        last = entries(session)[-1]
        assert (last.action, last.kind, last.thing_id, last.by) == ("signed in", "person", person.id, "command line")
        assert last.changes == {"method": [None, "password"]}


class TestPages:
    def test_a_page_is_signed_with_person_and_address(self, client, cast, session):
        sign_in(client, cast.owner)
        client.post(f"/settings/teams/{cast.team.slug}/name", data={"name": "Another Name"})
        session.rollback()

        last = entries(session, "team")[-1]
        assert (last.person_id, last.by, last.address) == (cast.owner.id, "page", "127.0.0.1")
        assert last.changes == {"name": ["The Cast", "Another Name"]}


class TestAppendOnly:
    @pytest.fixture(params=["sqlite", "postgresql"])
    def url(self, request, tmp_path):
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path / 'portico.sqlite3'}"
        return request.getfixturevalue("postgres_url")

    def test_the_database_refuses_to_change_or_delete_an_entry(self, url):
        address = engine_url(url)
        engine = create_engine(address, **engine_options(address))
        migrate.upgrade(engine)
        with Session(engine) as session:
            factories.team(session, owner=factories.person(session))
            session.commit()
            for statement in (update(AuditEntry).values(by="nobody"), delete(AuditEntry)):
                with pytest.raises(DatabaseError, match="only ever added to"):
                    session.execute(statement)
                session.rollback()
            assert session.scalar(text("SELECT count(*) FROM audit_entry"))
        engine.dispose()
