from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from portal.registry.models import SubscriptionState
from portal.traffic.calls import CallView, list_calls
from portal.traffic.explain import Known, KnownKey, KnownSubscription, explain
from portal.traffic.filters import Filters
from portal.traffic.ingest import Ingest
from portal.traffic.reasons import OF_OPERATION, OPERATION_LIMITED, REASONS
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


MAY = datetime(2026, 5, 3, 10, 0, tzinfo=UTC)
KEY = KnownKey("pco_abc_… “laptop”", None, None, False, "", (), None)
USE = KnownSubscription(SubscriptionState.APPROVED, MAY, None, None, "Gold", "60 calls a minute")


def known_key(**fields) -> Known:
    return Known(api="Orders v1", consumer="Shop", key=replace(KEY, **fields))


def known_use(**fields) -> Known:
    return Known(api="Orders v1", consumer="Shop", subscription=replace(USE, **fields))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("2 calls per minute", "Of create-report the plan Gold allows 2 calls per minute, whatever else it allows."),
        ("", "The plan Gold limits create-report no more."),
    ],
)
def test_a_limit_of_an_operation_is_told_from_the_plans(view, limit, said):
    call = replace(view, reason="rate_limited", status=429, details=OPERATION_LIMITED, operation="create-report")

    assert explain(call, known_use(operation_limit=limit)) == (
        f"{OF_OPERATION} {said} Wait as long as Retry-After says, or choose a plan that allows more."
    )
    assert explain(call).startswith(OF_OPERATION)


@pytest.mark.parametrize(
    ("reason", "known", "said"),
    [
        ("key_expired", known_key(expires_at=MAY), "of Shop, and expired on 3 May 2026 at 10:00 UTC."),
        ("key_expired", known_key(expires_at=MAY, successor="pco_def_…"), "Its successor is pco_def_…."),
        ("key_expired", known_key(expires_at=None), "It has another expiry since."),
        ("key_revoked", known_key(revoked_at=MAY), "and was revoked on 3 May 2026 at 10:00 UTC."),
        ("key_revoked", known_key(revoked_at=MAY, leaked=True), "at 10:00 UTC, because it had leaked."),
        ("key_not_allowed", known_key(may="May only read."), "pco_abc_… “laptop” is limited. It may only read."),
        ("key_not_allowed", known_key(), "Its limits have been changed since."),
        (
            "address_not_allowed",
            known_key(addresses=("10.0.0.0/8", "::1")),
            "came from 192.0.2.7; pco_abc_… “laptop” may be used from 10.0.0.0/8, ::1.",
        ),
        ("consumer_suspended", Known(consumer="Shop", suspended_at=MAY), "Shop has been suspended since 3 May 2026"),
        ("consumer_suspended", Known(consumer="Shop"), "Shop was suspended then, and goes on again since."),
        ("not_subscribed", Known(api="Orders v1", consumer="Shop"), "Shop has never been subscribed to Orders v1."),
        ("not_subscribed", known_use(ends_at=MAY), "Shop's subscription to Orders v1 ended on 3 May 2026"),
        (
            "not_subscribed",
            known_use(starts_at=MAY.replace(year=2099)),
            "since 3 May 2099 at 10:00 UTC only, after this call",
        ),
        ("not_subscribed", known_use(state=SubscriptionState.REJECTED), "subscription to Orders v1 was rejected."),
        ("not_subscribed", known_use(), "subscription to Orders v1 is approved by now."),
        ("subscription_pending", known_use(), "It is approved by now."),
        (
            "subscription_suspended",
            known_use(state=SubscriptionState.SUSPENDED),
            "That is still so, under the plan Gold.",
        ),
        ("rate_limited", known_use(), "The plan Gold allows 60 calls a minute."),
        ("quota_exceeded", known_use(blocked_until=MAY.replace(year=2099)), "It begins anew on 3 May 2099"),
        ("api_paused", Known(api="Orders v1", paused=True), "Orders v1 is still paused."),
        ("api_retired", Known(api="Orders v1", retired_at=MAY), "Orders v1 was retired on 3 May 2026 at 10:00 UTC."),
        ("upstream_timeout", Known(first_byte_ms=30_000), "The API waits 30 s for the first byte."),
        ("too_large", Known(body_limit=10_000_000), "It allows 10,000,000 bytes."),
        ("no_such_api", Known(), "The call went to api.example.com and /orders/v1/orders."),
    ],
)
def test_what_the_registry_knows_is_told_with_names_and_instants(view, reason, known, said):
    told = explain(replace(view, reason=reason), known)

    assert said in told
    assert "None" not in told
    assert told.endswith(".")
