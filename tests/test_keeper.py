"""The keeper with a program that does nothing but live."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.envoy import wait_for

ROOT = Path(__file__).parent.parent


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """Where each start of the program writes its pid, in a line of its own."""
    found = tmp_path / "pids"
    found.touch()
    settings = tmp_path / "supervisord.conf"
    settings.write_text(
        f"[supervisord]\nlogfile = /dev/null\nlogfile_maxbytes = 0\npidfile = {tmp_path}/pid\n"
        f"{'user = root' if os.geteuid() == 0 else ''}\n"
        f"[program:one]\ncommand = /bin/sh -c 'echo $$ >> {found}; exec sleep 600'\n"
        "autorestart = true\nstartsecs = 0\nstdout_logfile = NONE\nstderr_logfile = NONE\n"
    )
    argv = [sys.executable, "-m", "portal.keeper", "--nodaemon", "--configuration", str(settings)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: found.read_text(), "the program runs")
    yield found
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not Path(f"/proc/{last(found)}").exists(), "the program ends with its keeper"


def last(pids: Path) -> int:
    return int(pids.read_text().split()[-1])


def test_what_ends_without_a_word_is_started_again_each_time(pids: Path) -> None:
    """Without output and with nothing else to wake it: Supervisor's own loop would sleep."""
    for count in range(1, 11):
        wait_for(lambda count=count: len(pids.read_text().splitlines()) == count, f"start {count}")
        os.kill(last(pids), signal.SIGKILL)

    wait_for(lambda: len(pids.read_text().splitlines()) == 11, "the last start")
