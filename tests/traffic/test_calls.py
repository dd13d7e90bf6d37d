from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from portal.errors import BadRequest
from portal.traffic.calls import find_call, list_calls
from portal.traffic.filters import STATUS_CLASSES, Filters
from portal.traffic.models import microseconds
from portal.traffic.scope import Scope
from tests.traffic.lines import consumer_id, key_id, line, request_id

NOW = datetime(2026, 11, 20, 12, 30, 30, tzinfo=UTC)
ALL = Scope(everything=True)
OWN_API = Scope(api_ids=frozenset({1}))
OWN_CONSUMER = Scope(consumer_ids=frozenset({2}))
BOTH = Scope(api_ids=frozenset({1}), consumer_ids=frozenset({2}))


def call(ago: timedelta, api: int = 1, consumer: int = 1, n: int = 1, **fields) -> bytes:
    at = microseconds(NOW - ago)
    who = {"r": f"{api}|1", "c": consumer_id(consumer), "k": key_id(consumer), "id": request_id(at, n)}
    return line(at, **who | fields)


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


class TestList:
    def test_newest_come_first_and_pages_meet_without_gap(self, engine, store_lines):
        # Many share a microsecond, so that time alone does not order them.
        store_lines(*(call(minutes(n // 4), 1 + n % 2, 1 + n % 3, n) for n in range(47)))
        for scope in (ALL, BOTH, OWN_API, Scope(api_ids=frozenset({1, 2}), consumer_ids=frozenset({1, 2, 3}))):
            with Session(engine) as session:
                whole = list_calls(session, scope, Filters(), limit=100, now=NOW)
                forth, cursors, cursor = [], [], None
                while True:
                    page = list_calls(session, scope, Filters(), cursor, 5, now=NOW)
                    forth += page.calls
                    cursors.append(page)
                    if (cursor := page.older) is None:
                        break
                back = []
                while True:
                    back = page.calls + back
                    if page.newer is None:
                        break
                    page = list_calls(session, scope, Filters(), page.newer, 5, now=NOW)

            assert (whole.newer, whole.older) == (None, None)
            assert len(whole.calls) >= 20
            assert forth == whole.calls
            assert [view.at for view in forth] == sorted((view.at for view in forth), reverse=True)
            assert sorted(view.request_id for view in back) == sorted(view.request_id for view in forth)

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            (Filters(), {1, 2, 3, 4, 5, 6}),
            (Filters(api_id=2), {3}),
            (Filters(consumer_id=2), {2}),
            (Filters(key_id=2), {2}),
            (Filters(status=404), {4}),
            (Filters(status=200), {1, 2, 3}),
            (Filters(status_class="2xx"), {1, 2, 3}),
            (Filters(status_class="3xx"), set()),
            (Filters(status_class="4xx"), {4}),
            (Filters(status_class="429"), {5}),
            (Filters(status_class="5xx"), {6}),
            (Filters(status_class="none"), set()),
            (Filters(reason="rate_limited"), {5}),
            (Filters(method="post"), {2}),
            (Filters(path="/a%"), {3}),
            (Filters(path="/a"), {3, 6}),
            (Filters(min_ms=500), {6}),
            (Filters(since=NOW - minutes(3)), {1, 2, 3}),
            (Filters(until=NOW - minutes(3)), {4, 5, 6}),
            (Filters(api_id=1, status_class="5xx", path="/a", since=NOW - minutes(9)), {6}),
            (Filters(api_id=9), set()),
        ],
    )
    def test_filters_leave_what_they_ask_for(self, engine, store_lines, filters, found):
        store_lines(
            call(minutes(1), n=1),
            call(minutes(2), consumer=2, n=2, m="POST"),
            call(minutes(3), api=2, n=3, p="/a%b"),
            call(minutes(4), n=4, st=404),
            call(minutes(5), n=5, st=429, f="RL", d="local_rate_limited", rs="rate_limited"),
            call(minutes(6), n=6, st=500, p="/abc", du=700_000),
        )
        with Session(engine) as session:
            page = list_calls(session, ALL, filters, now=NOW)

        assert {int(view.request_id[-4:], 16) for view in page.calls} == found

    def test_filter_without_index_searches_24_hours_and_says_so(self, engine, store_lines):
        store_lines(call(minutes(5), m="PUT"), call(timedelta(hours=25), m="PUT"), call(timedelta(hours=25), st=500))
        with Session(engine) as session:

            def search(**asked):
                page = list_calls(session, ALL, Filters(**asked), now=NOW)
                return len(page.calls), page.note is not None

            assert search(method="PUT") == (1, True)
            assert search(method="PUT", until=NOW - timedelta(hours=20)) == (1, True)
            assert search(method="PUT", since=NOW - timedelta(hours=2)) == (1, False)
            assert search(method="PUT", api_id=1) == (2, False)
            assert search(status_class="5xx") == (1, False)
            assert search(status=500) == (1, False)
            assert search() == (3, False)

    def test_narrowed_scope_does_not_widen(self, engine, store_lines):
        store_lines(call(minutes(1), api=1), call(minutes(1), api=2))
        with Session(engine) as session:
            assert list_calls(session, ALL.narrowed(api_id=1), Filters(api_id=2), now=NOW).calls == []
            assert len(list_calls(session, ALL.narrowed(api_id=1), Filters(api_id=1), now=NOW).calls) == 1

    @pytest.mark.parametrize("cursor", ["x", "o", "o1", "o1.", "n.1", "o-1.2", "o1.2.3", "o" + "9" * 19 + ".1", "o٣.1"])
    def test_cursor_that_no_page_gave_is_refused(self, sqlite_engine, cursor):
        with Session(sqlite_engine) as session, pytest.raises(BadRequest, match="does not lead to a page of calls"):
            list_calls(session, ALL, Filters(), cursor)

    def test_class_that_does_not_exist_is_refused(self, sqlite_engine):
        with Session(sqlite_engine) as session, pytest.raises(BadRequest, match="6xx is not a class of status"):
            list_calls(session, ALL, Filters(status_class="6xx"))
        assert "4xx" in STATUS_CLASSES

    @pytest.mark.parametrize(
        ("filters", "index"),
        [
            (Filters(), "sqlite_autoindex|PRIMARY KEY"),
            (Filters(api_id=1), "ix__call__api_id_at"),
            (Filters(consumer_id=1), "ix__call__consumer_id_at"),
            (Filters(key_id=1), "ix__call__key_id_at"),
        ],
    )
    def test_lists_are_read_from_an_index(self, sqlite_engine, filters, index):
        from sqlalchemy import event

        plans = []

        @event.listens_for(sqlite_engine, "before_cursor_execute")
        def explain_it(connection, cursor, statement, parameters, *_):
            if statement.startswith("SELECT"):
                plan = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
                plans.append(" ".join(row[3] for row in plan))

        with Session(sqlite_engine) as session:
            list_calls(session, ALL, filters, now=NOW)

        (plan,) = plans
        assert "TEMP B-TREE" not in plan.replace("RIGHT PART OF ORDER BY", "") or "LAST TERM" in plan
        assert any(name in plan for name in index.split("|")) or plan == "SCAN call"


class TestVisibility:
    @pytest.fixture(autouse=True)
    def stored(self, store_lines):
        """Calls of consumers 1 and 2 to the APIs 1 and 2; number 10·api + consumer."""
        store_lines(*(call(minutes(a + c / 9), a, c, 10 * a + c) for a in (1, 2) for c in (1, 2)))

    @pytest.mark.parametrize(
        ("scope", "whole", "masked"),
        [
            (ALL, {11, 12, 21, 22}, set()),
            (OWN_API, set(), {11, 12}),
            (OWN_CONSUMER, {12, 22}, set()),
            (BOTH, {12, 22}, {11}),
            (Scope(), set(), set()),
        ],
    )
    def test_calls_that_one_may_not_see_do_not_exist(self, engine, scope, whole, masked):
        with Session(engine) as session:
            views = list_calls(session, scope, Filters(), now=NOW).calls
            everything = list_calls(session, ALL, Filters(), now=NOW).calls
            found = [find_call(session, scope, view.request_id) for view in everything]

        number = {view.request_id: int(view.request_id[-4:], 16) for view in everything}
        assert {number[view.request_id] for view in views if not view.masked} == whole
        assert {number[view.request_id] for view in views if view.masked} == masked
        assert {view for view in found if view is not None} == set(views)

    @pytest.mark.parametrize(
        "scope",
        [
            OWN_API.narrowed(key_id=1),
            BOTH.narrowed(key_id=2),
            BOTH.narrowed(key_id=1),
            BOTH.narrowed(api_id=2),
            ALL.narrowed(consumer_id=1),
            ALL.narrowed(api_id=1, key_id=2),
            OWN_CONSUMER.narrowed(consumer_id=1),
        ],
    )
    def test_one_call_and_the_list_agree_in_narrowed_scopes(self, engine, scope):
        with Session(engine) as session:
            listed = {view.request_id for view in list_calls(session, scope, Filters(), now=NOW).calls}
            everything = [view.request_id for view in list_calls(session, ALL, Filters(), now=NOW).calls]

            assert {each for each in everything if find_call(session, scope, each)} == listed

    def test_other_teams_keys_addresses_and_agents_are_masked(self, engine):
        with Session(engine) as session:
            views = list_calls(session, BOTH, Filters(), now=NOW).calls

        for view in views:
            secret = (view.key_id, view.address, view.user_agent)
            assert secret == ((None, None, None) if view.masked else (2, "192.0.2.7", "curl/8.5.0"))

    def test_asking_for_anothers_key_does_not_tell_whose_calls_are_whose(self, engine):
        with Session(engine) as session:
            assert list_calls(session, OWN_API, Filters(key_id=1), now=NOW).calls == []
            assert len(list_calls(session, BOTH, Filters(key_id=2), now=NOW).calls) == 2
            assert list_calls(session, BOTH, Filters(key_id=1), now=NOW).calls == []


class TestFind:
    @pytest.mark.parametrize("late", [0, 15, 900, 30_000])
    def test_is_found_by_its_id_however_late_that_was_made(self, engine, store_lines, late):
        at = microseconds(NOW)
        text = request_id(at + late * 1_000, 77)
        store_lines(line(at, id=text), call(minutes(1)))
        with Session(engine) as session:
            found = find_call(session, ALL, text)

        assert found is not None
        assert (found.request_id, found.at) == (text, NOW)

    @pytest.mark.parametrize("text", ["", "nonsense", request_id(microseconds(NOW), 5), "f" * 32, "☃" * 36])
    def test_what_is_no_call_is_not_found(self, sqlite_engine, text):
        with Session(sqlite_engine) as session:
            assert find_call(session, ALL, text) is None
