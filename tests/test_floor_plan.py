"""Imports flow one way: down. Each room may use those on floors below its own, and the ones named beside it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PORTAL = ROOT / "portal"

FLOORS = (
    {"errors", "config", "bearer"},
    {"db", "logs", "migrate", "vault"},
    {"jobs"},
    {"openapi", "outbound", "terminal"},
    {"accounts"},
    {"notify"},
    {"registry"},
    {"letters"},
    {"endings"},
    {"console", "ai", "gateway", "traffic", "reading"},
    {"agreements", "sample", "programs", "keeper", "backup"},
    {"schema", "doctor"},
    {"web", "worker", "run"},
    {"rest"},
    {"declared"},
    {"cli"},
)
BESIDE = {
    ("gateway", "traffic"),  # the compiler writes the log line that traffic reads; the node runs the ingest
}

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in PORTAL.rglob("*.py") if path != PORTAL / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PORTAL).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {
                f"{node.module}.{alias.name}" if node.module == "portal" else str(node.module) for alias in node.names
            }
    rooms = {name.split(".")[1] for name in found if name.startswith("portal.")}
    return {room for room in rooms if (PORTAL / room).is_dir() or (PORTAL / f"{room}.py").is_file()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PORTAL)))
def test_imports_flow_down(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{room} has no floor: give it one"

    up = {
        other for other in imported_rooms(path) - {room} if FLOOR[other] >= FLOOR[room] and (room, other) not in BESIDE
    }

    assert not up, f"{path.name} imports {', '.join(sorted(up))}, which stand no lower than {room}"


_NOT_ALL_DAY = {"alembic", "jsonschema_rs", "psycopg"}


@pytest.mark.parametrize(
    ("program", "spared"),
    [
        ("portal.gateway.__main__", {"portal.web", *_NOT_ALL_DAY, "markdown_it", "nh3", "requests", "yaml"}),
        ("wsgi", _NOT_ALL_DAY),
    ],
)
def test_what_runs_all_day_loads_nothing_that_it_does_not_use(program: str, spared: set[str], tmp_path: Path) -> None:
    code = f"import sys, {program}; print(*sys.modules)"
    environment = os.environ | {"PORTAL_DATA_DIR": str(tmp_path)}
    started = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert started.returncode == 0, started.stderr
    assert not spared & set(started.stdout.split())
