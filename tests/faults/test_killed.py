"""`kill -9` of each process under load: traffic goes on, and every call that was answered is stored once."""

import random
import signal

import pytest

from tests.faults.house import House
from tests.gateway.envoy import wait_for


class TestNode:
    @pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
    def test_calls_go_on_and_each_is_stored_once(self, home: House, times: int) -> None:
        rng, envoy = random.Random(times), home.envoy()
        with home.load() as seen:
            for _ in range(times):
                # While it starts, while it stores its first turns, or while it does nothing special.
                seen.sees_another(rng.randint(1, 600))
                home.kill_node()
                seen.sees_another(5)
                home.start_node()
            home.until_node_serves()
            seen.sees_another()
            calls = seen.end()
        assert home.envoy() == envoy, "each node takes over the Envoy of the one before"
        home.stop_node()

        assert calls.failures == {}
        home.assert_stored_once(calls)


class TestEnvoy:
    @pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
    def test_calls_resume_and_what_was_flushed_is_stored_once(self, home: House, times: int) -> None:
        kills = []
        with home.load() as seen:
            for _ in range(times):
                seen.sees_another(100)
                kills.append(home.kill_envoy())
                wait_for(lambda: seen.so_far().calls[-1].at > kills[-1] and home.envoy(), "another Envoy runs")
                seen.sees_another()
            calls = seen.end()
        home.stop_node()

        assert set(calls.statuses) == {0, 200}
        # What Envoy had not written yet is lost with it: here, the calls of a tenth of a second.
        missing = home.assert_stored_once(calls, lost=times * 60)
        gaps = [calls.gap_after(kill) for kill in kills]
        print(
            f"{times} kills of Envoy: {missing} of {len(calls.answered)} answers lost, "
            f"back after {min(gaps):.2f} … {max(gaps):.2f} s"
        )


def test_a_hung_envoy_is_ended_and_started_anew(on_sqlite: House) -> None:
    envoy = on_sqlite.envoy()
    on_sqlite.kill_envoy(signal.SIGSTOP)

    wait_for(lambda: on_sqlite.envoy() not in (0, envoy), "another Envoy runs")

    wait_for(lambda: on_sqlite.answers() == 200, "calls are answered")
    wait_for(lambda: on_sqlite.view().state == "serving", "the node says that it serves")
