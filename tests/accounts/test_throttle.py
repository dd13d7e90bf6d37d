from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.accounts import throttle
from portal.accounts.throttle import FORGOTTEN, Throttle
from portal.errors import TooManyAttempts

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def fail(session, times: int, limits, *, now=NOW) -> datetime:
    """So many failures, each as soon as it is let through; when the last one was."""
    for _ in range(times):
        while True:
            try:
                throttle.attempt(session, limits, now=now)
                break
            except TooManyAttempts as wait:
                now += timedelta(seconds=wait.seconds)
    return now


def wait(session, limits, *, now=NOW) -> int:
    with pytest.raises(TooManyAttempts) as refused:
        throttle.attempt(session, limits, now=now)
    return refused.value.seconds


class TestSignIn:
    def test_the_first_five_failures_are_free(self, session):
        assert fail(session, 5, throttle.sign_in("192.0.2.1", "a@b.example")) == NOW

    def test_each_further_one_doubles_the_wait_up_to_a_minute(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        now, waits = fail(session, 5, limits), []
        for _ in range(9):
            now = fail(session, 1, limits, now=now)
            waits.append(wait(session, limits, now=now))

        assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]

    def test_a_clock_that_goes_back_locks_nobody_out(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        fail(session, 40, limits, now=NOW + timedelta(days=365))
        session.commit()

        throttle.attempt(session, limits, now=NOW)
        session.commit()

        assert wait(session, limits) == 60, "what was counted still counts"
        session.rollback()
        throttle.attempt(session, limits, now=NOW + timedelta(seconds=60))

    def test_nobody_is_locked_out(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        now = fail(session, 40, limits)

        throttle.attempt(session, limits, now=now + timedelta(seconds=60))

    def test_waiting_attempts_do_not_lengthen_the_wait(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        now = fail(session, 6, limits)

        assert [wait(session, limits, now=now) for _ in range(10)] == [2] * 10

    def test_another_account_and_another_address_are_free(self, session):
        now = fail(session, 8, throttle.sign_in("192.0.2.1", "a@b.example"))

        throttle.attempt(session, throttle.sign_in("192.0.2.1", "c@b.example"), now=now)
        throttle.attempt(session, throttle.sign_in("192.0.2.2", "a@b.example"), now=now)

    def test_one_address_that_tries_many_accounts_waits_too(self, session):
        for n in range(20):
            throttle.attempt(session, throttle.sign_in("192.0.2.1", f"{n}@b.example"), now=NOW)

        assert wait(session, throttle.sign_in("192.0.2.1", "new@b.example")) > 0

    def test_an_account_is_the_same_in_any_case_and_an_ipv6_network_is_one_place(self, session):
        now = fail(session, 6, throttle.sign_in("2001:db8:1:2::1", "a@b.example"))

        assert wait(session, throttle.sign_in("2001:db8:1:2:ffff::9", " A@B.example"), now=now) == 2
        throttle.attempt(session, throttle.sign_in("2001:db8:1:3::1", "a@b.example"), now=now)

    def test_success_forgets_the_account_and_takes_one_back_from_the_address(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        now = fail(session, 6, limits) + timedelta(seconds=2)
        throttle.attempt(session, limits, now=now)
        throttle.succeeded(session, limits)

        assert fail(session, 5, limits, now=now) == now
        assert session.get(Throttle, limits[0].id).attempts == 6 + 5

    def test_quiet_is_forgiven(self, session):
        limits = throttle.sign_in("192.0.2.1", "a@b.example")
        now = fail(session, 9, limits) + FORGOTTEN + timedelta(seconds=1)

        assert fail(session, 5, limits, now=now) == now


def test_no_address_is_stored(session):
    throttle.attempt(session, throttle.sign_in("192.0.2.1", "a@b.example"), now=NOW)
    session.flush()

    ids = session.scalars(select(Throttle.id)).all()
    assert len(ids) == 2
    assert not any("192" in each and "a@b" in each for each in ids)
    assert {len(each) for each in ids} == {64}


def test_sweep_deletes_what_no_longer_counts(session):
    throttle.attempt(session, throttle.sign_up("192.0.2.1"), now=NOW - FORGOTTEN - timedelta(seconds=1))
    throttle.attempt(session, throttle.sign_up("192.0.2.2"), now=NOW)

    assert throttle.sweep(session, now=NOW) == 1
    assert session.scalar(select(func.count()).select_from(Throttle)) == 1
