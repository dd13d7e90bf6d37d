"""Large documents, read by the worker in a process of their own: what comes of them, and of those that are made to
break their reader."""

import io
import subprocess
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.openapi_documents import document
from portal import config_of, openapi, reading, worker
from portal.accounts import Team
from portal.db import db
from portal.openapi.syntax import MOST_BYTES
from portal.reading import apart, parent
from portal.reading.parent import Refused, Stopped, read_apart
from portal.registry import descriptions, imports
from portal.registry.models import Import, ImportSource, ImportState, OpenAPIDocument, OpenAPIPart, Operation
from tests import factories
from tests.factories import PETS

LARGE = document(300, 1_500_000)
KINDS = {imports.JOB: reading.read}


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


@pytest.fixture
def team(session):
    made = factories.team(session)
    session.commit()
    return made.id


def bring(team: int, data: bytes, api: Any = None) -> int:
    return reading.bring(
        db.session.get_one(Team, team),
        api=api,
        source=ImportSource.FILE,
        source_name="a.json",
        data=data,
        by=None,
    )


def turn(app) -> bool:
    return worker.turn(config_of(app), "test", KINDS)


def found(session: Session, import_id: int) -> Import:
    session.rollback()
    return session.get_one(Import, import_id)


def count(session: Session, kind: Any) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(kind)) or 0


class TestReading:
    def test_small_ones_are_ready_at_once(self, app, session, team):
        row = found(session, bring(team, PETS))

        assert row.state is ImportState.READY
        assert not turn(app)

    def test_large_ones_are_stored_as_small_ones_would_be(self, app, session, team):
        row = found(session, bring(team, LARGE))
        assert (row.state, row.sha256) == (ImportState.WAITING, None)

        assert turn(app)

        row = found(session, row.id)
        assert (row.state, row.percent, row.packed) == (ImportState.READY, 100, None)
        stored = session.get_one(OpenAPIDocument, row.sha256)
        description = openapi.read(LARGE)
        laid = descriptions.lay_out(LARGE, description)
        assert stored.writer is None
        assert descriptions.bytes_of(session, stored.sha256) == LARGE
        assert descriptions.facts_of(stored) == descriptions.Facts.of(description)
        for kind, rows, key in ((Operation, laid.operations, "position"), (OpenAPIPart, laid.parts, "name")):
            columns = [column.name for column in kind.__table__.columns if column.name != "id"]
            there = session.execute(select(*(getattr(kind, name) for name in columns)))
            assert sorted((dict(each._mapping) for each in there), key=lambda each: each[key]) == sorted(
                rows, key=lambda each: each[key]
            )

    def test_large_ones_are_held_against_the_document_so_far(self, app, session, team):
        row = factories.imported(session)
        api = factories.api(session, document=factories.document(openapi=row.sha256))
        session.commit()
        changed = PETS.replace(b"/pets:", b"/cats:") + b"# and so on\n" * 100_000

        import_id = bring(team, changed, db.session.get_one(type(api), api.id))
        assert turn(app)

        row = found(session, import_id)
        assert row.changes is not None
        assert (row.changes["changed"], row.changes["breaking"], row.compared_with) == (2, 2, api.draft["openapi"])

    def test_same_document_twice_is_stored_once(self, app, session, team):
        first, second = bring(team, LARGE), bring(team, LARGE)

        assert turn(app)
        assert turn(app)

        assert found(session, first).sha256 == found(session, second).sha256
        assert count(session, OpenAPIDocument) == 1

    def test_job_that_is_done_twice_does_nothing_the_second_time(self, app, session, team):
        import_id = bring(team, LARGE)
        assert turn(app)

        assert reading.read(config_of(app), {"import": import_id}) == ""
        assert reading.read(config_of(app), {"import": 999}) == ""

    def test_too_large_for_any_reader(self, team):
        with pytest.raises(openapi.Unreadable, match="reads up to 50 MB"):
            bring(team, b"x" * (MOST_BYTES + 1))

    def test_every_kind_of_work_is_known_to_the_worker(self):
        assert worker.KINDS[imports.JOB] is reading.read
        assert worker.KINDS["forget_imports"] is reading.forget
        assert "forget_imports" in worker.PERIODIC
        assert imports.JOB in worker.LONG <= worker.KINDS.keys()

    def test_sweep_takes_what_nothing_names(self, app, session, team):
        import_id = bring(team, PETS)
        reading.forget(config_of(app), {})
        assert count(session, OpenAPIDocument) == 1
        row = found(session, import_id)
        imports.discard(session, row)
        stored = session.scalars(select(OpenAPIDocument)).one()
        stored.unnamed_since = stored.created_at - timedelta(days=2)
        session.commit()

        said = reading.forget(config_of(app), {})

        assert said == "0 old imports and 1 OpenAPI documents that nothing names went."
        assert count(session, OpenAPIDocument) == 0


class TestBadDocuments:
    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            (b"[" * 2_000_000, "is not JSON"),
            (b'{"openapi": "3.1.0", "paths": ' + b"[" * 200_000 + b"]" * 1_000_000, ""),
            (b"openapi: 3.1.0\npaths: " + b"[" * 1_200_000, "nests deeper"),
            (b"openapi: 3.1.0\npaths: " + b"{a: " * 400_000, "nests deeper"),
            (b"? " * 600_000, ""),
            (b"- " * 600_000, "nests deeper"),
            (
                b"a: &a [x,x,x,x,x,x,x,x,x]\n"
                + b"\n".join(b"%c: &%c [%s]" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 117))
                + b"\n# "
                + b"x" * 1_000_000,
                "aliases",
            ),
            (b"\0" * 1_100_000, ""),
            (b"openapi: 3.1.0\n" + b"# x\n" * 300_000, "without paths"),
        ],
        ids=["brackets", "json", "yaml", "mappings", "keys", "lists", "bomb", "nul", "pathless"],
    )
    def test_each_is_refused_with_a_sentence(self, app, session, team, data, sentence):
        import_id = bring(team, data)

        assert turn(app)

        row = found(session, import_id)
        assert row.state is ImportState.REFUSED
        assert sentence in row.error
        assert "stopped its reader" not in row.error
        assert count(session, OpenAPIDocument) == 0

    def test_more_memory_than_there_is(self, team):
        import_id, number = self.begun(team)
        data = b"[" + b"{}," * 2_000_000 + b"{}]"

        with pytest.raises(Refused, match="more than 2 GB of memory"):
            read_apart(import_id, number, data, b"", None, memory=250_000_000)

    def test_more_time_than_there_is(self, team):
        import_id, number = self.begun(team)

        with pytest.raises(Refused, match="longer than three minutes"):
            read_apart(import_id, number, LARGE, b"", None, seconds=0.0)

    def test_cancelling_ends_the_process(self, session, team):
        import_id, number = self.begun(team)
        imports.cancel(session, found(session, import_id))
        session.commit()

        with pytest.raises(Stopped):
            read_apart(import_id, number, LARGE, b"", None)

        assert count(session, OpenAPIDocument) == 0

    @pytest.mark.parametrize(
        ("ends", "sentence"),
        [("kill -SEGV $$", "signal 11"), ("kill -KILL $$", "more than 2 GB"), ("exit 3", "status 3"), ("echo", "")],
    )
    def test_process_that_dies_is_told(self, team, ends, sentence):
        import_id, number = self.begun(team)
        watch = parent._Watch(import_id, number, float("inf"))

        with subprocess.Popen(["sh", "-c", ends], stdout=subprocess.PIPE) as process:
            if ends == "echo":
                with pytest.raises(orjson.JSONDecodeError):
                    list(parent._frames(process, watch))
            else:
                with pytest.raises(Refused, match=sentence):
                    list(parent._frames(process, watch))

    def begun(self, team: int) -> tuple[int, int]:
        import_id = bring(team, LARGE)
        with db.begin() as session:
            number = imports.take_turn(session, import_id)
        assert number is not None
        return import_id, number


class TestFrames:
    """What the process says, without the process."""

    def test_ends_with_its_end(self):
        said = list(apart.frames(given(PETS)))

        assert [next(iter(frame)) for frame in said] == ["head", "operations", "parts", "end"]
        assert said[0]["head"]["operation_count"] == 2

    def test_refusal_is_all_it_says(self):
        (frame,) = apart.frames(given(b"no document"))

        assert frame.keys() == {"refused"}


def given(data: bytes) -> io.BytesIO:
    head = orjson.dumps({"size": len(data), "base": None, "memory": -1})
    return io.BytesIO(head + b"\n" + data)


class TestStoringInTurns:
    @pytest.fixture
    def laid(self):
        return lambda: descriptions.lay_out(LARGE, openapi.read(LARGE))

    def test_what_a_dead_writer_left_is_written_anew(self, session, laid):
        broken = laid()
        with pytest.raises(ZeroDivisionError):
            descriptions.store_in_turns(db.begin, broken, lambda _written: 1 // 0)
        left = count(session, Operation)
        assert left > 0
        assert session.get_one(OpenAPIDocument, broken.sha256).writer is not None
        session.rollback()

        descriptions.store_in_turns(db.begin, laid(), lambda _written: None)

        assert session.get_one(OpenAPIDocument, broken.sha256).writer is None
        assert count(session, Operation) == 300

    def test_of_two_writers_the_first_gives_way(self, session, laid):
        second = laid()

        def overtake(_written: int) -> None:
            descriptions.store_in_turns(db.begin, second, lambda _written: None)

        with pytest.raises(descriptions.Overtaken):
            descriptions.store_in_turns(db.begin, laid(), overtake)

        assert session.get_one(OpenAPIDocument, second.sha256).writer is None
        assert count(session, Operation) == 300

    def test_whole_one_is_left_as_it_is(self, session, laid):
        descriptions.store_in_turns(db.begin, laid(), lambda _written: None)

        descriptions.store_in_turns(db.begin, laid(), lambda _written: pytest.fail("nothing is to be written"))


def test_small_transactions_leave_room_for_others(session):
    """While a large document is stored, others write between its rows."""
    seen = []

    def look(written: int) -> None:
        with db.begin() as other:
            factories.team(other)
        seen.append(written)

    descriptions.store_in_turns(db.begin, descriptions.lay_out(LARGE, openapi.read(LARGE)), look)

    assert len(seen) >= 2
