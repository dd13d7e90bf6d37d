"""The access log under a running node: renamed again and again, torn in the middle."""

from sqlalchemy import func, select

from portal.gateway.admin import Admin
from portal.gateway.place import place_of
from portal.traffic import logfiles
from portal.traffic.models import MisreadLine
from tests.faults.house import House
from tests.gateway.envoy import wait_for


def test_log_that_is_set_aside_under_load_is_stored_whole_and_deleted(home: House) -> None:
    admin = Admin(place_of(home.config).admin_socket)
    with home.load() as seen:
        for _ in range(10):
            seen.sees_another(30)
            assert logfiles.rotate(home.access_log, lambda: admin.post("/reopen_logs") and None, above=0)
        calls = seen.end()
    wait_for(lambda: len(logfiles.in_order(home.access_log)) == 1, "all that were set aside are stored and gone")
    home.stop_node()

    assert calls.failures == {}
    home.assert_stored_once(calls)


def test_torn_end_that_a_dead_envoy_left_costs_no_call_of_the_next(on_sqlite: House) -> None:
    with on_sqlite.load() as seen:
        seen.sees_another()
        first = seen.end()
    on_sqlite.stop_node()
    whole = on_sqlite.access_log.read_bytes()
    with on_sqlite.access_log.open("ab") as log:
        log.write(whole[:100])  # as a power failure leaves it

    on_sqlite.start_node()
    on_sqlite.until_node_serves()
    with on_sqlite.load() as seen:
        seen.sees_another()
        second = seen.end()
    on_sqlite.stop_node()

    on_sqlite.assert_stored_once(first)
    on_sqlite.assert_stored_once(second)
    with on_sqlite.session() as session:
        assert session.scalar(select(func.sum(MisreadLine.count))) == 1
