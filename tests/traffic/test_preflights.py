"""Preflights are in the list of calls, and nobody's calls in any chart."""

import uuid
from datetime import timedelta

from sqlalchemy.orm import Session

from portal.traffic import series
from portal.traffic.calls import list_calls
from portal.traffic.filters import Filters
from portal.traffic.parse import parse
from portal.traffic.window import Window
from tests.traffic.lines import ALL, NOW, START, call, line, request_id

PREFLIGHT = {
    "m": "OPTIONS",
    "c": None,
    "k": None,
    "d": "cors_response",
    "up": None,
    "us": None,
    "r": "1|1|h|1||x-api-key",
}


def test_they_are_listed_and_not_counted(engine, store_lines):
    store_lines(*call(timedelta(minutes=5), n=3), *call(timedelta(minutes=5), n=4, **PREFLIGHT))

    with Session(engine) as session:
        counted = series.totals(session, ALL, Window.last("1h", NOW)).counts.calls
        listed = [each.reason for each in list_calls(session, ALL, Filters(), now=NOW).calls]

    assert counted == 3
    assert sorted(listed) == ["ok"] * 3 + ["preflight"] * 4


def test_a_batch_of_nothing_else_is_stored(engine, store_lines):
    store_lines(*call(timedelta(minutes=5), n=2, **PREFLIGHT))

    with Session(engine) as session:
        assert len(list_calls(session, ALL, Filters(), now=NOW).calls) == 2


def test_an_id_that_a_client_brought_is_not_taken_for_ours():
    theirs = request_id(START, 7)

    assert parse(line(id=theirs)).request_id == uuid.UUID(theirs).bytes
    assert parse(line(id=theirs, **PREFLIGHT)).request_id is None
