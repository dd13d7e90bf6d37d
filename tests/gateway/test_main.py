"""The node as a program of its own: tests/faults run it, here is how it says that it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.config import Config
from portal.gateway.claims import take_folder


def said(config: Config, **settings: str) -> str:
    """By a node that does not start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    done = subprocess.run(
        [sys.executable, "-m", "portal.gateway"],
        cwd=Path(__file__).parent.parent.parent,
        env=kept | {"PORTAL_DATA_DIR": str(config.data_dir)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_wrong_setting_is_named(config: Config) -> None:
    assert said(config, PORTAL_GATEWAY_PORT="http").startswith("Error: PORTAL_GATEWAY_PORT must be a port number")


@pytest.mark.envoy
def test_second_node_of_a_folder_says_so(config: Config) -> None:
    lock, _ = take_folder(config.gateway_dir)
    try:
        assert said(config) == f"Error: Another node already runs in {config.gateway_dir}. Stop that one first.\n"
    finally:
        os.close(lock)
