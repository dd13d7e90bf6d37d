import gc
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, insert, select
from sqlalchemy.orm import Session

from portal import bearer
from portal.gateway import roster
from portal.registry.keys import new_token
from portal.registry.models import Release
from portal.traffic import described, histogram, store
from portal.traffic.ingest import KEPT_MISREADS, Ingest
from portal.traffic.models import (
    DAY,
    LEVELS,
    ByConsumer,
    ByConsumerOperation,
    ByKey,
    ByOperation,
    Call,
    InAll,
    LogPosition,
    MisreadLine,
)
from portal.traffic.parse import parse
from tests.traffic.conftest import CONSUMERS, _describe
from tests.traffic.lines import START, Mix, consumer_id, key_id, line, request_id

THINGS = [("GET", "/things/{id}", "getThing"), ("PUT", "/things/{id}", "changeThing"), ("GET", "/things", "listThings")]


class TestStep:
    def test_rows_hold_what_the_lines_say(self, engine, log_path):
        whole = line(r="7|2|h|0|/orders|x", c=consumer_id(3), s="9", k=key_id(3), pl="4", ua='a "quoted" \\ agent\ttab')
        log_path.write_bytes(whole)

        assert Ingest(engine, node="one", log_path=log_path).step() == 1

        (row,) = rows(engine)
        said = parse(whole)._asdict() | {"consumer_id": 3, "key_id": 3, "node": "one", "source": "gateway"}
        del said["consumer"], said["key"], said["mount"]
        said["operation"] = ""
        assert row._asdict() | {"id": 0} == said | {"id": 0}

    def test_mix_is_stored_once_and_counted_alike_in_rows_and_all_roll_ups(self, engine, log_path, describe):
        for api in range(1, 8):
            describe(api, 3, THINGS)
        some = list(Mix(apis=10, consumers=CONSUMERS, seconds=200_000).lines(3_000))
        log_path.write_bytes(b"".join(some))

        assert Ingest(engine, node="one", log_path=log_path).drain() == 3_000

        assert_stored_once(engine, some)
        assert {row.operation for row in rows(engine)} == {"getThing", "changeThing", ""}

    def test_each_level_adds_to_what_is_there(self, engine, log_path):
        ingest = Ingest(engine, node="one", log_path=log_path)
        some = [line(START + n * 1_000, r="7|2", id=request_id(START + n * 1_000, n)) for n in range(60)]
        for each in some:
            append(log_path, [each])
            assert ingest.step() == 1
            assert ingest.step() == 0

        assert_stored_once(engine, some)
        with Session(engine) as session:
            assert session.scalars(select(ByOperation.calls)).all() == [60] * 3

    def test_consumers_that_were_deleted_stay_empty(self, engine, log_path):
        log_path.write_bytes(line(r="7|2", c=consumer_id(999), k=key_id(999), s="5", pl="6"))

        Ingest(engine, node="one", log_path=log_path).drain()

        (row,) = rows(engine)
        assert (row.consumer_id, row.key_id, row.subscription_id, row.plan_id) == (None, None, 5, 6)

    def test_texts_that_copy_would_mistake_arrive_whole(self, engine, log_path):
        agents = ["None", "\\N", "\\x41", "tab\there", "line\nbreak", "return\r", "\\", "ümläut ☃", "{a,b}", "'; --"]
        log_path.write_bytes(
            b"".join(line(START + n, ua=agent, tp=f"00-{n:032x}-1-1") for n, agent in enumerate(agents))
        )

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.user_agent for row in rows(engine)] == agents

    def test_call_without_id_gets_one_of_its_time(self, engine, log_path):
        log_path.write_bytes(line(id=None))

        Ingest(engine, node="one", log_path=log_path).drain()

        (row,) = rows(engine)
        assert int.from_bytes(row.request_id[:6], "big") == START // 1_000
        assert row.request_id[6] >> 4 == 7

    def test_line_that_is_still_being_written_waits(self, engine, log_path):
        whole = line()
        log_path.write_bytes(whole + whole[:50])
        ingest = Ingest(engine, node="one", log_path=log_path)

        assert (ingest.step(), ingest.step()) == (1, 0)

        append(log_path, [whole[50:]])
        assert ingest.drain() == 1
        assert len(rows(engine)) == 2

    def test_misread_lines_are_kept_aside_and_the_others_stored(self, engine, log_path):
        torn = line()[:60] + line()
        log_path.write_bytes(line() + torn + b"x" * 9_000 + b"\n" + b"\xff\n" + line())

        assert Ingest(engine, node="one", log_path=log_path).drain() == 5

        assert len(rows(engine)) == 3
        with Session(engine) as session:
            kept = session.scalars(select(MisreadLine).order_by(MisreadLine.id)).all()
        assert [bytes(each.line) for each in kept] == [line()[:60], b"x" * 4_096, b"\xff"]
        assert all(each.error and each.node == "one" and each.count == 1 for each in kept)

    @pytest.mark.parametrize(
        ("torn", "set_aside"),
        [(line()[:80], 1), (line()[:-1], 0), (line()[:-1] + line(START + 1)[:30], 1), (b"\0" * 500, 1), (b'{"', 1)],
    )
    def test_calls_behind_a_torn_line_are_stored(self, engine, log_path, torn, set_aside):
        whole = [line(START + 2, ua='a {"quoted": brace}'), line(START + 3)]
        log_path.write_bytes(torn + b"".join(whole))

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.at for row in rows(engine)][-2:] == [START + 2, START + 3]
        with Session(engine) as session:
            assert len(session.scalars(select(MisreadLine)).all()) == set_aside

    def test_lines_whose_times_jump_are_stored_once(self, engine, log_path):
        jumps = [0, 1, -3_600_000_000, 2, 86_400_000_000 * 400, -86_400_000_000 * 400, 3]
        some = [line(START + jump, id=request_id(START + jump, n)) for n, jump in enumerate(jumps)]
        log_path.write_bytes(b"".join(some))

        Ingest(engine, node="one", log_path=log_path).drain()

        assert_stored_once(engine, some)

    def test_flood_of_misread_lines_is_counted_but_not_kept(self, engine, log_path):
        log_path.write_bytes(b"no\n" * 500)

        Ingest(engine, node="one", log_path=log_path).drain()

        with Session(engine) as session:
            counts = session.scalars(select(MisreadLine.count)).all()
        assert sum(counts) == 500
        assert len(counts) == KEPT_MISREADS

    def test_line_longer_than_any_is_set_aside(self, sqlite_engine, log_path):
        log_path.write_bytes(b"x" * 3_000_000 + b"\n" + line())

        Ingest(sqlite_engine, node="one", log_path=log_path).drain()

        assert len(rows(sqlite_engine)) == 1

    def test_no_log_is_nothing_to_do(self, sqlite_engine, log_path):
        assert Ingest(sqlite_engine, node="one", log_path=log_path).step() == 0
        assert Ingest(sqlite_engine, node="one", log_path=log_path.parent / "none" / "access.log").step() == 0

    def test_long_histograms_are_written_anew(self, engine, log_path):
        some = [line(START + n, r="7|2", id=request_id(START + n, n), du=n % 50 * 100 + 9_000) for n in range(3_000)]
        log_path.write_bytes(b"".join(some))
        Ingest(engine, node="one", log_path=log_path).drain()
        steps = [(level, START // 1_000_000 // level * level) for level in LEVELS]
        with engine.begin() as connection:
            before = [len(each) for each in connection.scalars(select(ByOperation.latency))]
            for table in store.WITH_LATENCY:
                connection.execute(table.update().values(latency=histogram.of_buckets([0]) * 3_000))

            assert store.compact(connection, steps) == 9

            after = connection.scalars(select(ByConsumer.latency)).all()
        assert [histogram.decode(each).total() for each in after] == [3_000] * 3
        assert max(len(each) for each in after) < 20 < min(before)

    def test_collector_runs_again_afterwards(self, sqlite_engine, log_path):
        log_path.write_bytes(line())

        Ingest(sqlite_engine, node="one", log_path=log_path).drain()

        assert gc.isenabled()


class TestKeysInTheLog:
    """Where Envoy refuses before the key filter runs, its line has what came."""

    KEY, SEND = new_token().value, "pcc_7_8_1790000000_Ab-c_d"

    def test_are_written_over_where_they_stand_and_stored_once(self, engine, log_path):
        some = [
            line(START + n, p=f"/a%2F{self.KEY}", ua=self.SEND, id=request_id(START + n, n), st=400) for n in range(9)
        ]
        before = b"".join(some)
        log_path.write_bytes(before)
        ingest = Ingest(engine, node="one", log_path=log_path)

        assert ingest.step() == 9
        append(log_path, [line(START + 10, id=request_id(START + 10, 10))])
        # The first line is another now, and the file still the same.
        assert Ingest(engine, node="one", log_path=log_path).drain() == 1

        log = log_path.read_bytes()
        assert log[: len(before)] == before.replace(self.KEY[4:].encode(), b"*" * 46).replace(
            self.SEND[4:].encode(), b"*" * (len(self.SEND) - 4)
        )
        assert {row.path for row in rows(engine)} == {"/a%2F(key)", "/orders/v1/orders"}
        assert len(rows(engine)) == 10

    def test_access_tokens_of_people_are_keys_here(self, engine, log_path):
        token = bearer.new_token("ppt_").value
        log_path.write_bytes(line(p=f"/a%2F{token}", ua="ppt_presentation_final"))

        assert Ingest(engine, node="one", log_path=log_path).drain() == 1
        assert token[4:].encode() not in log_path.read_bytes()
        assert [(row.path, row.user_agent) for row in rows(engine)] == [("/a%2F(key)", "ppt_presentation_final")]

    def test_one_that_was_written_over_before_a_crash_is_stored_alike(self, sqlite_engine, log_path):
        log_path.write_bytes(line(p=f"/a%2F{self.KEY}"))
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        ingest._store = lambda *_, **__: (_ for _ in ()).throw(ConnectionError)

        with pytest.raises(ConnectionError):
            ingest.step()
        assert self.KEY.encode() not in log_path.read_bytes()
        assert Ingest(sqlite_engine, node="one", log_path=log_path).drain() == 1

        assert [row.path for row in rows(sqlite_engine)] == ["/a%2F(key)"]

    def test_a_log_that_cannot_be_written_is_stored_all_the_same(self, sqlite_engine, log_path, monkeypatch, caplog):
        log_path.write_bytes(line(p=f"/a%2F{self.KEY}"))
        opened = Path.open

        def read_only(path, mode="r", *rest):
            if "+" in mode:
                raise PermissionError(13, "Permission denied")
            return opened(path, mode, *rest)

        monkeypatch.setattr(Path, "open", read_only)

        assert Ingest(sqlite_engine, node="one", log_path=log_path).drain() == 1
        assert [row.path for row in rows(sqlite_engine)] == ["/a%2F(key)"]
        assert "Keys that callers put into other places stay in" in caplog.text


class TestPosition:
    def test_next_ingest_goes_on_where_the_last_one_stopped(self, engine, log_path):
        log_path.write_bytes(line())
        Ingest(engine, node="one", log_path=log_path).drain()
        append(log_path, [line(START + 1)])

        assert Ingest(engine, node="one", log_path=log_path).drain() == 1
        assert len(rows(engine)) == 2

    def test_nodes_do_not_take_each_other_s_position(self, engine, log_path):
        log_path.write_bytes(line())

        assert Ingest(engine, node="one", log_path=log_path).drain() == 1
        assert Ingest(engine, node="two", log_path=log_path).drain() == 1

        assert sorted(row.node for row in rows(engine)) == ["one", "two"]

    def test_emptied_log_is_read_from_its_beginning(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line() + line(START + 1))
        ingest.drain()
        log_path.write_bytes(line(START + 2))

        assert ingest.drain() == 1
        assert len(rows(sqlite_engine)) == 3

    def test_other_file_with_the_same_inode_is_read_from_its_beginning(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line())
        ingest.drain()
        # Written over in place: the inode is the old one, and it is longer than what was read.
        log_path.write_bytes(line(START + 1) + line(START + 2))

        assert ingest.drain() == 2

    def test_log_that_was_copied_to_another_place_goes_on(self, engine, log_path):
        """As after a move to another disk: device and inode are others, the calls are stored already."""
        log_path.write_bytes(line() + line(START + 1))
        Ingest(engine, node="one", log_path=log_path).drain()
        copied(log_path)
        append(log_path, [line(START + 2)])

        assert Ingest(engine, node="one", log_path=log_path).drain() == 1
        assert len(rows(engine)) == 3
        with Session(engine) as session:
            assert session.scalars(select(LogPosition.offset)).all() == [log_path.stat().st_size]

    def test_copied_log_waits_for_nothing(self, sqlite_engine, log_path):
        log_path.write_bytes(line())
        Ingest(sqlite_engine, node="one", log_path=log_path).drain()
        copied(log_path)

        assert Ingest(sqlite_engine, node="one", log_path=log_path).drain() == 0
        with sqlite_engine.connect() as connection:
            assert roster.log_waiting(connection, "one", log_path) == 0

    def test_older_copy_of_the_log_is_stored_already_and_what_follows_is_not(self, sqlite_engine, log_path):
        log_path.write_bytes(line() + line(START + 1))
        Ingest(sqlite_engine, node="one", log_path=log_path).drain()
        log_path.write_bytes(line())
        copied(log_path)
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)

        assert ingest.drain() == 0
        append(log_path, [line(START + 2)])
        assert ingest.drain() == 1
        assert sorted(row.at for row in rows(sqlite_engine)) == [START, START + 1, START + 2]

    def test_copy_that_took_over_another_file_s_inode_goes_on(self, sqlite_engine, log_path):
        log_path.write_bytes(line())
        Ingest(sqlite_engine, node="one", log_path=log_path).drain()
        copied(log_path)
        found = log_path.stat()
        with Session(sqlite_engine) as session:
            session.add(LogPosition(node="one", file=f"{found.st_dev}:{found.st_ino}", head=b"other", offset=9))
            session.commit()

        assert Ingest(sqlite_engine, node="one", log_path=log_path).drain() == 0
        assert len(rows(sqlite_engine)) == 1

    def test_second_reader_of_the_same_log_is_refused_and_stores_nothing(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line())
        ingest.drain()
        append(log_path, [line(START + 1)])
        overtaken = []

        @event.listens_for(sqlite_engine, "before_cursor_execute")
        def overtake(connection, cursor, statement, *rest):
            # The other reader commits after this one has read the position and before it has the write lock.
            if statement == "BEGIN IMMEDIATE" and not overtaken:
                overtaken.append(True)
                Ingest(sqlite_engine, node="one", log_path=log_path).drain()

        with pytest.raises(RuntimeError, match="Another process stores the log of node one"):
            ingest.step()
        assert len(rows(sqlite_engine)) == 2


def copied(path: Path) -> None:
    """The same bytes as another file."""
    twin = path.with_name("twin")
    twin.write_bytes(path.read_bytes())
    assert twin.stat().st_ino != path.stat().st_ino
    os.replace(twin, path)


class TestOperations:
    def test_path_mounts_host_mounts_and_calls_that_nothing_describes(self, engine, log_path, describe):
        describe(7, 2, THINGS)
        on_path, on_host = {"r": "7|2|h|0|/orders/v1|x-api-key"}, {"r": "7|2|h|0||x-api-key"}
        log_path.write_bytes(
            line(START, **on_path, p="/orders/v1/things/5")
            + line(START + 1, **on_host, p="/things/5")
            + line(START + 2, **on_path, p="/orders/v1/things")
            + line(START + 3, **on_path, p="/orders/v1")
            + line(START + 4, **on_path, p="/things/5")
            + line(START + 5, **on_path, p="/orders/v1/things/5", m="POST")
            + line(START + 6, **on_path, p=None, m=None, st=400)
            + line(START + 7, p="/things/5")
        )

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.operation for row in rows(engine)] == ["getThing", "getThing", "listThings", "", "", "", "", ""]

    def test_call_keeps_the_name_that_the_release_had_which_answered_it(self, engine, log_path, describe):
        ingest = Ingest(engine, node="one", log_path=log_path)
        describe(7, 1, [("GET", "/things/{id}", "old")])
        append(log_path, [line(START, r="7|1", p="/things/5")])
        ingest.drain()
        describe(7, 2, [("GET", "/things/{id}", "new")])
        append(log_path, [line(START + 1, r="7|2", p="/things/5"), line(START + 2, r="7|1", p="/things/5")])

        ingest.drain()

        assert [row.operation for row in rows(engine)] == ["old", "new", "old"]

    def test_deleted_api_and_releases_without_an_openapi_document_have_none(self, engine, log_path, describe):
        describe(7, 1, [])
        with engine.begin() as connection:
            connection.execute(insert(Release).values(api_id=7, number=2, document={"name": "Orders"}))
            connection.execute(insert(Release).values(api_id=7, number=3, document={"openapi": "0" * 64}))
        some = [line(START + n, id=request_id(START, n), r=f"{7 + n // 4}|{n}", p="/things/5") for n in range(1, 5)]
        log_path.write_bytes(b"".join(some))

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.operation for row in rows(engine)] == [""] * 4
        assert_stored_once(engine, some)

    def test_names_that_databases_have_words_for(self, engine, log_path, describe):
        names = ["None", "null", "NULL", "nan", "'", "{}"]
        describe(7, 1, [("GET", f"/{n}", name) for n, name in enumerate(names)])
        some = [
            line(START + n, id=request_id(START, n), r="7|1", p=f"/{n}", c=consumer_id(1)) for n in range(len(names))
        ]
        log_path.write_bytes(b"".join(some))

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.operation for row in rows(engine)] == names
        assert_stored_once(engine, some)

    def test_path_that_was_cut_is_not_taken_for_another_operation(self, engine, log_path, describe):
        describe(7, 1, [("GET", "/things/{id}", "getThing"), ("GET", "/things/{id}/parts", "listParts")])
        log_path.write_bytes(line(r="7|1", p=f"/things/{'x' * 2_000}/parts"))

        Ingest(engine, node="one", log_path=log_path).drain()

        assert [row.operation for row in rows(engine)] == [""]

    def test_tries_of_large_documents_do_not_pile_up(self, sqlite_engine, log_path, monkeypatch):
        monkeypatch.setattr(described, "MOST_OPERATIONS", 10)
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        for n in range(1, 6):
            _describe(sqlite_engine, n, 1, [("GET", f"/things/{each}", f"get{n}.{each}") for each in range(6)])
            append(log_path, [line(START + n, r=f"{n}|1", p="/things/3")])
            ingest.drain()

        assert [row.operation for row in rows(sqlite_engine)] == [f"get{n}.3" for n in range(1, 6)]
        assert sum(trie.size for trie in ingest._described._tries.values()) == 6


class TestRotation:
    def test_renamed_log_is_finished_first_and_then_deleted(self, engine, log_path):
        ingest = Ingest(engine, node="one", log_path=log_path)
        log_path.write_bytes(line() + line(START + 1))
        assert ingest.rotate(lambda: log_path.write_bytes(line(START + 2)), above=10)
        (renamed,) = set(log_path.parent.iterdir()) - {log_path}

        assert ingest.drain() == 3

        assert not renamed.exists()
        assert log_path.exists()
        with Session(engine) as session:
            assert len(session.scalars(select(LogPosition)).all()) == 1

    def test_small_log_stays(self, sqlite_engine, log_path):
        log_path.write_bytes(line())

        assert not Ingest(sqlite_engine, node="one", log_path=log_path).rotate(pytest.fail)

    def test_renamed_log_stays_until_envoy_writes_a_new_one(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line())
        ingest.rotate(lambda: None, above=10)
        (renamed,) = log_path.parent.iterdir()

        assert ingest.drain() == 1
        append(renamed, [line(START + 1)])
        assert ingest.drain() == 1

        assert renamed.exists()
        log_path.write_bytes(b"")
        ingest.drain()
        assert not renamed.exists()

    def test_envoy_is_asked_again_when_asking_failed(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line())

        def unreachable() -> None:
            raise ConnectionRefusedError

        with pytest.raises(ConnectionRefusedError):
            ingest.rotate(unreachable, above=10)

        assert ingest.rotate(lambda: log_path.write_bytes(b""), above=10)
        assert ingest.drain() == 1

    def test_several_renamed_logs_are_read_oldest_first(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        for n in range(4):
            append(log_path, [line(START + n)])
            assert ingest.rotate(log_path.touch, above=10)
        order = []
        while ingest.step():
            order.append(max(row.at for row in rows(sqlite_engine)) - START)

        assert order == [0, 1, 2, 3]

    def test_log_that_envoy_still_writes_is_not_taken_for_an_older_one_after_a_clock_went_back(
        self, sqlite_engine, log_path
    ):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        ahead = log_path.with_name(f"{log_path.name}.{4_000_000_000 * 10**9:020d}")
        ahead.write_bytes(line())
        log_path.write_bytes(line(START + 1))
        ingest.rotate(lambda: None, above=10)
        (renamed,) = set(log_path.parent.iterdir()) - {ahead}
        assert ingest.drain() == 2

        append(renamed, [line(START + 2)])

        assert ingest.drain() == 1
        assert [row.at - START for row in sorted(rows(sqlite_engine), key=lambda row: row.at)] == [0, 1, 2]

    def test_torn_end_of_a_renamed_log_is_set_aside(self, sqlite_engine, log_path):
        ingest = Ingest(sqlite_engine, node="one", log_path=log_path)
        log_path.write_bytes(line() + line()[:40])
        ingest.rotate(log_path.touch, above=10)

        assert ingest.drain() == 2

        assert [path.name for path in log_path.parent.iterdir()] == ["access.log"]
        with Session(sqlite_engine) as session:
            assert session.scalars(select(MisreadLine.line)).all() == [line()[:40]]

    def test_other_files_beside_the_log_are_left_alone(self, sqlite_engine, log_path):
        other = log_path.with_name("access.log.old")
        other.write_bytes(line())
        log_path.write_bytes(line())

        assert Ingest(sqlite_engine, node="one", log_path=log_path).drain() == 1
        assert other.exists()


class TestKilled:
    def test_before_any_statement_stores_each_line_once(self, sqlite_engine, log_path):
        some = [*Mix(apis=5, consumers=CONSUMERS, seconds=200).lines(90), b"torn\n"]
        stops = iter(range(1_000))
        left = None

        @event.listens_for(sqlite_engine, "before_cursor_execute")
        @event.listens_for(sqlite_engine, "commit")
        def stop(*_):
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    left = None
                    raise KeyboardInterrupt

        for n in range(0, len(some), 7):
            append(log_path, some[n : n + 7])
            # Stopped one statement later each time, so that each place is met.
            left = next(stops)
            try:
                Ingest(sqlite_engine, node="one", log_path=log_path).drain()
            except KeyboardInterrupt:
                left = None
        left = None
        Ingest(sqlite_engine, node="one", log_path=log_path).drain()

        assert_stored_once(sqlite_engine, some[:-1])
        with Session(sqlite_engine) as session:
            assert session.scalars(select(MisreadLine.count)).all() == [1]

    def test_at_any_moment_stores_each_line_once(self, engine, log_path):
        some = list(Mix(apis=20, consumers=CONSUMERS, seconds=400, seed=3).lines(12_000))
        log_path.with_name("access.log.00000000000000000001").write_bytes(b"".join(some[:5_000]))
        log_path.write_bytes(b"".join(some[5_000:]))
        url, rng, kills = engine.url, random.Random(5), 0
        arguments = {"url": url, "connect_args": engine_arguments(engine), "log_path": log_path}
        engine.dispose()

        for _ in range(60):
            child = multiprocessing.get_context("fork").Process(target=drain_and_leave, kwargs=arguments)
            child.start()
            child.join(rng.uniform(0.02, 0.25))
            if child.exitcode is None:
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
            child.join()
            if child.exitcode == 0:
                break
        else:
            Ingest(engine, node="one", log_path=log_path).drain()

        assert kills
        assert_stored_once(engine, some)


@pytest.mark.postgres
class TestSeveralNodes:
    def test_that_write_the_same_roll_ups_at_once_lose_nothing(self, postgres_engine, tmp_path):
        mix = Mix(apis=5, consumers=CONSUMERS, seconds=30, seed=9)
        halves = [list(mix.lines(4_000)), list(mix.lines(4_000))]
        children = []
        arguments = {"url": postgres_engine.url, "connect_args": engine_arguments(postgres_engine)}
        for n, half in enumerate(halves):
            (tmp_path / f"{n}.log").write_bytes(b"".join(half))
            child = multiprocessing.get_context("fork").Process(
                target=drain_and_leave,
                kwargs=arguments | {"log_path": tmp_path / f"{n}.log", "node": f"node-{n}"},
            )
            child.start()
            children.append(child)
        for child in children:
            child.join(60)

        assert [child.exitcode for child in children] == [0, 0]
        assert_stored_once(postgres_engine, [*halves[0], *halves[1]])


def drain_and_leave(*, url, connect_args, log_path: Path, node: str = "one") -> None:
    from sqlalchemy import create_engine

    engine = create_engine(url, connect_args=connect_args)
    ingest = Ingest(engine, node=node, log_path=log_path)
    while ingest.step():
        time.sleep(0)
    os._exit(0)


def engine_arguments(engine: Engine) -> dict[str, str]:
    """What a process of its own needs to reach the same tables."""
    if engine.dialect.name == "sqlite":
        return {}
    with engine.connect() as connection:
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
    return {"options": f"-csearch_path={schema}"}


def append(path: Path, some: Iterable[bytes]) -> None:
    with path.open("ab") as log:
        log.writelines(some)


def rows(engine: Engine):
    with engine.connect() as connection:
        return connection.execute(select(*Call.__table__.columns).order_by(Call.at, Call.id)).all()


def assert_stored_once(engine: Engine, some: list[bytes]) -> None:
    """Each line is one row, and every level of every roll-up says what the rows say."""
    stored = rows(engine)
    assert Counter(bytes(row.request_id) for row in stored) == Counter(parse(each).request_id for each in some)
    names = {
        ByOperation: lambda row: (row.api_id or 0, row.operation, row.status, row.reason),
        ByConsumer: lambda row: (row.consumer_id or 0, row.api_id or 0, row.status, row.reason),
        ByKey: lambda row: (row.key_id, row.status, row.reason),
        InAll: lambda row: (row.status, row.reason),
    }
    for table, name in names.items():
        expected: dict = {}
        for row in stored:
            for level in LEVELS:
                if table is ByKey and row.key_id is None:
                    continue
                start = row.at // 1_000_000 // level * level
                sums = expected.setdefault((level, start, *name(row)), [0, 0, 0, []])
                sums[0] += 1
                sums[1] += row.bytes_in
                sums[2] += row.bytes_out
                if row.target is not None:
                    sums[3].append(histogram.bucket(row.total_us))
        with engine.connect() as connection:
            found = connection.execute(select(*table.__table__.columns)).all()
        key = len(table.__table__.primary_key.columns)
        assert {tuple(row[:key]): list(row[key : key + 3]) for row in found} == {
            which: sums[:3] for which, sums in expected.items()
        }
        if table is not ByKey:
            assert {tuple(row[:key]): histogram.decode(bytes(row.latency)) for row in found} == {
                which: Counter(sums[3]) for which, sums in expected.items()
            }
    callers: dict = {}
    for row in stored:
        if row.api_id and row.consumer_id:
            minute = row.at // 60_000_000 * 60
            who = callers.setdefault((minute - minute % DAY, row.api_id, row.operation, row.consumer_id), [0, 0])
            callers[minute - minute % DAY, row.api_id, row.operation, row.consumer_id] = [
                who[0] + 1,
                max(who[1], minute),
            ]
    with engine.connect() as connection:
        found = connection.execute(select(*ByConsumerOperation.__table__.columns)).all()
    assert {tuple(row[:4]): list(row[4:]) for row in found} == callers
