"""A full disk under database, log and configuration: calls are answered, and all goes on once there is room."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.house import House, house, short_folder
from tests.gateway.envoy import wait_for
from tests.skips import ONLY_ROOT

_SIZE = 64_000_000


@pytest.fixture
def small() -> Iterator[House]:
    """All of it on a file system of 64 MB."""
    libc = ctypes.CDLL(None, use_errno=True)
    with short_folder() as folder:
        options = f"size={_SIZE}".encode()
        if os.geteuid() != 0 or libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options) != 0:
            pytest.skip(f"{ONLY_ROOT}mount a small file system")
        try:
            with house(folder=folder) as made:
                yield made
        finally:
            detach = 2
            libc.umount2(os.fsencode(folder), detach)


def fill(folder: Path) -> Path:
    """A file that takes all room."""
    balloon = folder / "balloon"
    with balloon.open("wb", buffering=0) as file:
        for size in (1_000_000, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return balloon


def test_calls_are_answered_and_all_goes_on_once_there_is_room(small: House) -> None:
    with small.load(200) as before:
        before.sees_another(50)
        early = before.end()
    path = small.publish_another()
    wait_for(lambda: small.answers(path=path) == 200, "the second API is live")
    on_disk = wait_for(lambda: small.stored().keys() >= set(early.answered), "the calls are stored")
    assert on_disk

    balloon = fill(small.config.data_dir)
    for _ in range(200):
        assert small.answers() == 200
    wait_for(lambda: "The database fails" in small.said(), "the node cannot store")
    with pytest.raises(OSError, match="No space left"):
        (small.config.gateway_dir / "probe").write_bytes(bytes(10_000))
    envoy = small.envoy()
    small.kill_envoy()
    wait_for(lambda: small.envoy() not in (0, envoy), "another Envoy runs")
    wait_for(lambda: small.answers() == 200, "it answers although the disk is full")

    balloon.unlink()
    wait_for(lambda: "The database answers again" in small.said(), "the node stores again")
    third = small.publish_another()
    wait_for(lambda: small.answers(path=third) == 200, "the third API is live")
    with small.load(200) as after:
        after.sees_another(50)
        late = after.end()
    small.stop_node()
    small.assert_stored_once(early)
    small.assert_stored_once(late)
