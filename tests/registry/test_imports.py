"""Documents that somebody brings, from the first byte to what becomes of them, on both databases."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import registry
from portal.db import utcnow
from portal.errors import Changed, Conflict, Invalid
from portal.jobs import Job
from portal.openapi.changes import Change, Changes
from portal.registry import descriptions, imports, sweeping
from portal.registry.models import Api, Import, ImportSource, ImportState, OpenAPIDocument, OpenAPIPart, Operation
from portal.registry.understanding import MOST_CHANGES, changes_as_json, is_quick, understand
from tests import factories
from tests.factories import PETS

DAY = timedelta(days=1)
NEXT = PETS.replace(b"post:", b"put:")


def many_paths(count: int) -> bytes:
    return orjson.dumps({"openapi": "3.1.0", "paths": {f"/a{number}": {"get": {}} for number in range(count)}})


def document(digest: str | None, **values: Any) -> registry.Document:
    return factories.document(**({"openapi": digest} if digest else {}) | values)


def waiting(session: Session, data: bytes = PETS) -> Import:
    row = imports.begin(
        session,
        factories.team(session),
        api=None,
        source=ImportSource.FILE,
        source_name="pets.yaml",
        size=len(data),
        by=None,
    )
    imports.hand_over(session, row, b"packed")
    session.flush()
    return row


def count(session: Session, kind: Any) -> int:
    return session.scalar(select(func.count()).select_from(kind)) or 0


class TestCreate:
    def test_makes_a_draft_and_ends_the_import(self, session):
        row = factories.imported(session)

        api = imports.create(session, row, document(row.sha256), slug="pets", version="v1", by=None)
        session.flush()

        assert (row.state, row.api, row.packed, row.changes) == (ImportState.APPLIED, api, None, None)
        assert api.team is row.team
        with pytest.raises(Conflict, match="was applied already"):
            imports.create(session, row, document(row.sha256), slug="cats", version="v1", by=None)

    def test_document_of_another_import_is_refused(self, session):
        row, other = factories.imported(session), factories.imported(session, data=NEXT)

        with pytest.raises(Invalid, match="must refer to the document"):
            imports.create(session, row, document(other.sha256), slug="pets", version="v1", by=None)

    def test_api_that_exists_is_no_new_one(self, session):
        row = factories.imported(session, api=factories.api(session))

        with pytest.raises(Conflict, match="exists already"):
            imports.create(session, row, document(row.sha256), slug="pets", version="v1", by=None)


class TestApply:
    @pytest.fixture
    def api(self, session) -> Api:
        digest = factories.imported(session).sha256
        return factories.api(session, document=document(digest), live=True)

    def test_saves_the_draft(self, session, api):
        row = factories.imported(session, api=api, data=NEXT)

        imports.apply(session, row, document(row.sha256), by=None, expected=1)

        assert (api.draft_number, api.draft["openapi"], row.state) == (2, row.sha256, ImportState.APPLIED)

    def test_draft_that_has_changed_is_not_written_over(self, session, api):
        row = factories.imported(session, api=api, data=NEXT)
        registry.save_draft(session, api, document(api.draft["openapi"]), by=None, expected=1)

        with pytest.raises(Changed):
            imports.apply(session, row, document(row.sha256), by=None, expected=1)

    def test_what_was_compared_with_another_document_is_compared_again(self, session, api):
        first, second = (factories.imported(session, api=api, data=data) for data in (NEXT, PETS + b"# x\n"))
        imports.apply(session, first, document(first.sha256), by=None, expected=1)

        assert imports.is_stale(second)
        with pytest.raises(Conflict, match="Compare it again"):
            imports.apply(session, second, document(second.sha256), by=None, expected=2)
        imports.compare_again(session, second)
        assert (second.state, second.turn) == (ImportState.WAITING, 0)
        assert count(session, Job) == 1

    def test_is_for_an_api(self, session):
        row = factories.imported(session)

        with pytest.raises(Conflict, match="is for a new API"):
            imports.apply(session, row, document(row.sha256), by=None, expected=1)


class TestEnds:
    """Imports hold up nothing that they belong to."""

    def test_of_the_api(self, session):
        row = factories.imported(session)
        api = imports.create(session, row, document(row.sha256), slug="pets", version="v1", by=None)
        factories.imported(session, api=api, data=NEXT)
        session.flush()

        registry.delete_api(session, api)
        session.flush()

        assert count(session, Import) == 0

    def test_of_the_team(self, session):
        row = factories.imported(session)

        registry.delete_team(session, row.team)
        session.flush()

        assert count(session, Import) == 0


class TestNaming:
    """A document that is named is there, and stays."""

    def test_hash_of_nothing_that_is_stored_is_refused(self, session):
        with pytest.raises(Invalid) as refused:
            factories.api(session, document=document("0" * 64))
        assert refused.value.fields.keys() == {"openapi"}
        api = factories.api(session)
        with pytest.raises(Invalid):
            registry.save_draft(session, api, document("0" * 64), by=None, expected=1)

    def test_document_that_is_still_written_is_not_there_yet(self, session):
        row = factories.imported(session)
        session.get_one(OpenAPIDocument, row.sha256).writer = "somebody"
        session.flush()

        with pytest.raises(Invalid):
            factories.api(session, document=document(row.sha256))

    def test_what_a_draft_names_already_is_not_asked_for(self, session):
        api = factories.api(session, document=document(factories.imported(session).sha256))
        session.delete(session.get_one(OpenAPIDocument, api.draft["openapi"]))
        session.flush()

        registry.save_draft(session, api, document(api.draft["openapi"]), by=None, expected=1)


class TestTurns:
    def test_turn_is_taken_told_and_settled(self, session):
        row = waiting(session)

        assert imports.take_turn(session, row.id) == 1
        assert imports.tell(session, row.id, 1, percent=40, step="Reading")
        session.refresh(row)
        assert (row.state, row.percent, row.step) == (ImportState.READING, 40, "Reading")
        sha256 = descriptions.store(session, understand(PETS).laid).sha256
        assert imports.settle(session, row.id, 1, sha256=sha256, changes=None, compared_with=None)
        assert (row.state, row.sha256, row.packed) == (ImportState.READY, sha256, None)

    def test_second_reader_takes_the_place_of_the_first(self, session):
        row = waiting(session)
        first, second = imports.take_turn(session, row.id), imports.take_turn(session, row.id)
        sha256 = descriptions.store(session, understand(PETS).laid).sha256

        assert not imports.tell(session, row.id, first, percent=99, step="Late")
        assert not imports.settle(session, row.id, first, sha256=sha256, changes=None, compared_with=None)
        assert not imports.refuse_turn(session, row.id, first, "Late.")
        assert (row.state, row.error) == (ImportState.READING, "")
        assert imports.settle(session, row.id, second, sha256=sha256, changes=None, compared_with=None)
        assert imports.take_turn(session, row.id) is None

    def test_cancelled_one_is_read_by_nobody(self, session):
        row = waiting(session)
        turn = imports.take_turn(session, row.id)
        imports.cancel(session, row)

        assert not imports.tell(session, row.id, turn, percent=1, step="")
        assert imports.take_turn(session, row.id) is None
        with pytest.raises(Conflict, match="read already"):
            imports.cancel(session, row)

    def test_what_kills_its_readers_is_given_up(self, session):
        row = waiting(session)

        assert [imports.take_turn(session, row.id) for _ in range(4)] == [1, 2, 3, None]
        assert row.state is ImportState.REFUSED
        assert "stopped the worker three times" in row.error

    def test_document_that_has_gone_is_told(self, session):
        row = waiting(session)
        turn = imports.take_turn(session, row.id)

        with pytest.raises(Conflict, match="not kept any more"):
            imports.settle(session, row.id, turn, sha256="0" * 64, changes=None, compared_with=None)


class TestSweep:
    def test_imports_that_nobody_came_back_for(self, session):
        now = utcnow()
        unread, dead, ready = waiting(session), waiting(session), factories.imported(session)
        imports.take_turn(session, dead.id)

        assert sweeping.sweep_imports(session, now=now + DAY / 2) == 0
        assert sweeping.sweep_imports(session, now=now + DAY * 1.1) == 0
        assert (unread.state, dead.state, ready.state) == (ImportState.REFUSED, ImportState.REFUSED, ImportState.READY)
        assert "No worker has read it" in unread.error
        assert unread.packed is None
        sweeping.sweep_imports(session, now=now + DAY * 15)
        assert ready.state is ImportState.DISCARDED
        assert sweeping.sweep_imports(session, now=now + DAY * 31) == 3

    def test_applied_ones_stay(self, session):
        row = factories.imported(session)
        imports.create(session, row, document(row.sha256), slug="pets", version="v1", by=None)
        session.flush()

        sweeping.sweep_imports(session, now=utcnow() + DAY * 999)

        assert row.state is ImportState.APPLIED

    def sweep(self, session: Session, now: Any) -> int:
        gone = sweeping.sweep_documents(session, sweeping.unnamed(session, now=now), now=now)
        session.flush()
        return gone

    def stored(self, session: Session, data: bytes = PETS) -> str:
        return descriptions.store(session, understand(data).laid).sha256

    def test_document_that_nothing_names_goes_after_a_day_with_its_rows(self, session):
        now = utcnow()
        self.stored(session)

        assert self.sweep(session, now) == 0
        assert self.sweep(session, now + DAY * 0.99) == 0
        assert count(session, OpenAPIDocument) == 1
        assert self.sweep(session, now + DAY) == 1
        assert [count(session, kind) for kind in (OpenAPIDocument, Operation, OpenAPIPart)] == [0, 0, 0]

    @pytest.mark.parametrize("way", ["draft", "release", "import"])
    def test_document_that_something_names_stays(self, session, way):
        now = utcnow()
        sha256, other = self.stored(session), self.stored(session, NEXT)
        if way == "import":
            factories.imported(session)
        else:
            api = factories.api(session, live=True, document=document(sha256))
            if way == "release":
                registry.save_draft(session, api, document(None), by=None, expected=1)
                assert api.draft.get("openapi") is None
        session.flush()

        for days in (0, 1, 2, 9):
            self.sweep(session, now + DAY * days)

        assert list(session.scalars(select(OpenAPIDocument.sha256))) == [sha256]
        assert other != sha256

    def test_day_begins_anew_whenever_something_names_it(self, session):
        now = utcnow()
        sha256 = self.stored(session)
        self.sweep(session, now)
        api = factories.api(session, document=document(sha256))
        registry.save_draft(session, api, document(None), by=None, expected=1)

        assert self.sweep(session, now + DAY * 1.1) == 0
        assert self.sweep(session, now + DAY * 2) == 0
        assert self.sweep(session, now + DAY * 2.1) == 1

    def test_what_is_named_while_it_is_looked_at_stays(self, session):
        """Found as unnamed, then named by somebody else before the sweep holds it."""
        now = utcnow()
        sha256 = self.stored(session)
        self.sweep(session, now)
        found = sweeping.unnamed(session, now=now + DAY * 2)
        factories.api(session, document=document(sha256))

        assert found == [sha256]
        assert sweeping.sweep_documents(session, found, now=now + DAY * 2) == 0

    def test_over_imports_name_nothing(self, session):
        now = utcnow()
        row = factories.imported(session)
        imports.discard(session, row)
        session.flush()

        self.sweep(session, now)
        assert self.sweep(session, now + DAY) == 1


class TestUnderstanding:
    def test_what_breaks_comes_first_and_lists_are_bounded(self):
        added = tuple(Change(f"a{n}", "GET", f"/a/{n}", (), False) for n in range(MOST_CHANGES))
        removed = tuple(Change(f"r{n}", "GET", "/r", ("Gone.",) * 99, True, ("Gone.",), f"r{n}") for n in range(2))

        found = changes_as_json(Changes(added, removed, ()))

        assert {name: found[name] for name in ("added", "removed", "changed", "breaking")} == {
            "added": MOST_CHANGES,
            "removed": 2,
            "changed": 0,
            "breaking": 2,
        }
        assert found["broken"] == ["r0", "r1"]
        assert [row["id"] for row in found["rows"][:3]] == ["r0", "r1", "a0"]
        assert len(found["rows"]) == MOST_CHANGES
        assert len(found["rows"][0]["sentences"]) == 20

    @pytest.mark.parametrize(
        ("data", "base", "quick"),
        [
            (PETS, None, True),
            (PETS, PETS, True),
            (b"x" * 1_000_001, None, False),
            (PETS, b"x" * 1_000_001, False),
            (b"x" * 600_000, b"x" * 600_000, False),
            (many_paths(3_000), None, True),
            (many_paths(3_000), many_paths(3_000), False),
            (many_paths(3_000).decode().encode("utf-16"), many_paths(3_000), False),
            (b"{paths: {%b}}" % (b"/a: {$ref: '#/paths/~1b'}," * 9_000), None, False),
            (PETS, b"a: &name [1]\nb: *name\n", False),
            (b"a: &name [1]\nb: *name\n", None, False),
            (b"{a: &\xc3\xa4 [1], b: *\xc3\xa4}\n", None, False),
            (b"a: https://a.example/?a=1&b=2\n", None, True),
            (b"a: cats, &dogs or *others*\n", None, True),
        ],
    )
    def test_what_is_read_while_somebody_waits(self, data, base, quick):
        assert is_quick(data, base) is quick

    def test_reading_again_compares_with_the_document_so_far(self, session):
        api = factories.api(session, document=document(factories.imported(session).sha256))

        row = factories.imported(session, api=api, data=NEXT)

        assert row.changes is not None
        assert (row.changes["changed"], row.changes["broken"]) == (1, ["addPet"])
        assert row.compared_with == api.draft["openapi"]
