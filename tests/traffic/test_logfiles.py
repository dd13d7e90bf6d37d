from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portal.traffic import logfiles
from portal.traffic.logfiles import LogFile


@pytest.mark.parametrize("read", [logfiles.head_of, logfiles.opened])
def test_file_that_is_set_aside_after_it_was_listed_is_not_taken_for_the_next(
    tmp_path: Path, read: Callable[[LogFile], Any]
) -> None:
    """Its lines would be stored under the other one's position, and then once more."""
    log_path = tmp_path / "access.log"
    log_path.write_bytes(b"first\n")
    (listed,) = logfiles.in_order(log_path)

    assert logfiles.rotate(log_path, lambda: log_path.write_bytes(b"second\n") and None, above=0)

    with pytest.raises(FileNotFoundError):
        read(listed)
    before, _ = logfiles.in_order(log_path)
    with logfiles.opened(before) as lines:
        assert (before.identity, lines.read()) == (listed.identity, b"first\n")
