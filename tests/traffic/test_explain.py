from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from portal.traffic.calls import CallView, list_calls
from portal.traffic.explain import explain
from portal.traffic.filters import Filters
from portal.traffic.ingest import Ingest
from portal.traffic.reasons import REASONS
from tests.traffic.lines import ALL, NOW, call


@pytest.fixture
def view(sqlite_engine, log_path) -> CallView:
    log_path.write_bytes(b"".join(call(timedelta(minutes=1))))
    Ingest(sqlite_engine, node="one", log_path=log_path).drain()
    with Session(sqlite_engine) as session:
        return list_calls(session, ALL, Filters(), now=NOW).calls[0]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_begins_with_its_sentence(view, reason):
    for each in (replace(view, reason=reason), replace(view, reason=reason, target=None, total_us=None)):
        assert explain(each).startswith(REASONS[reason])
        assert "None" not in explain(each)
        assert explain(each).endswith(".")


def test_unreachable_upstream_is_named_with_what_went_wrong(view):
    details = "upstream_reset_before_response_started{connection_failure|delayed_connect_error:_Connection_refused}"
    said = explain(replace(view, reason="upstream_unreachable", details=details, attempts=2))

    assert "10.1.2.3:8080" in said
    assert "nothing listens there" in said
    assert "tried 2 times" in said


def test_upstreams_own_status_is_told_with_its_time(view):
    said = explain(replace(view, reason="upstream_status", status=503, total_us=2_340_000))

    assert said.endswith("10.1.2.3:8080 sent 503 after 2.3 s.")


def test_unknown_word_is_shown_as_it_is(view):
    assert "brand_new" in explain(replace(view, reason="brand_new"))


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        (True, {}),
        (True, {"status": 405, "method": None}),
        (False, {"operation": "getThing"}),
        (False, {"status": 500}),
        (False, {"reason": "no_such_api"}),
    ],
)
def test_call_that_the_document_does_not_know_says_so_where_that_may_be_why(view, said, fields):
    call = replace(view, **{"reason": "upstream_status", "status": 404} | fields)

    assert ("has no operation for" in explain(call, described=True)) is said
    assert "has no operation for" not in explain(call)
