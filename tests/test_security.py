"""What `docs/security.md` says is shown by tests is there, and the words lead to each other."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portal import bearer
from portal.registry.keys import new_token

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs/security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in DOCUMENT.splitlines()
    if re.match(r"\| \d+\.\d+\.\d+ \|", line)
]
SECTIONS = {
    **{"1.2": 5, "1.3": 2, "1.5": 1, "2.1": 1, "2.2": 2, "2.3": 1, "3.2": 2, "3.3": 1, "3.4": 2, "3.5": 3, "4.1": 1},
    **{"4.4": 1, "5.2": 2, "5.3": 2, "6.1": 1, "6.2": 8, "6.3": 2, "6.4": 2, "7.2": 4, "7.4": 2, "8.1": 1, "8.2": 2},
    **{"8.3": 1, "9.1": 3, "9.2": 1, "10.4": 5, "11.3": 2, "11.4": 1, "12.1": 1, "12.2": 2, "13.4": 1, "14.2": 1},
    **{"14.3": 1, "15.1": 1, "15.2": 1, "15.3": 1},
}
"""How many requirements of level 1 each section of the ASVS 5.0.0 has; they are the first ones of it."""


def exists(name: str) -> bool:
    """Whether there is such a test: a file, and in it a function, a class or a method of one."""
    file, *within = name.split("::")
    path = ROOT / file
    if not path.is_file():
        return False
    found: ast.AST | None = ast.parse(path.read_text())
    for each in within:
        body = getattr(found, "body", [])
        found = next((node for node in body if getattr(node, "name", None) == each), None)
    return found is not None


class TestDocument:
    def test_names_every_requirement_of_level_1_once(self):
        expected = [f"{section}.{n}" for section, count in SECTIONS.items() for n in range(1, count + 1)]

        assert len(expected) == 70
        assert [row[0] for row in ROWS] == expected

    @pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
    def test_names_tests_that_are_there(self, row):
        _, _, how, shown = row
        names = re.findall(r"`([^`]+)`", shown)

        assert names or shown == "does not apply" or (shown == "–" and "*Not met yet*" in how)
        assert [name for name in names if not exists(name)] == []

    def test_names_files_that_are_there(self):
        files = set(re.findall(r"`((?:portal|tests)/[\w/]+\.py)", DOCUMENT))

        assert len(files) > 10
        assert [name for name in files if not (ROOT / name).is_file()] == []

    def test_a_test_that_is_not_there_is_noticed(self):
        assert exists("tests/test_security.py::TestDocument::test_a_test_that_is_not_there_is_noticed")
        assert not exists("tests/test_security.py::TestDocument::test_of_nothing")
        assert not exists("tests/test_of_nothing.py")


class TestWords:
    def test_lead_to_each_other(self):
        readme, policy = (ROOT / "README.md").read_text(), (ROOT / "SECURITY.md").read_text()

        assert "](SECURITY.md)" in readme
        assert "](docs/security.md)" in readme
        assert "](docs/security.md)" in policy

    def test_how_to_report_is_private(self):
        policy = (ROOT / "SECURITY.md").read_text()

        assert "private vulnerability reporting" in policy
        assert "@" not in policy


class TestSecrets:
    """`make check` looks for them."""

    @pytest.fixture
    def secrets(self, tmp_path):
        """What `make secrets` says of a checkout with one file; None when it finds nothing."""

        def look(name: str, content: str) -> str | None:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
            shutil.copy(ROOT / "Makefile", tmp_path)
            subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
            subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
            command = ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.installed-tests", "secrets"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            return done.stdout + done.stderr if done.returncode else None

        return look

    def test_are_none_in_ordinary_words(self, secrets):
        assert secrets("tests/ordinary.py", 'PASSWORD = "correct horse battery"\n') is None

    @pytest.mark.parametrize("name", ["portal/settings.py", "tests/fixture.py", "docs/how-to.md"])
    def test_a_whole_key_is_found_everywhere(self, secrets, name):
        assert name in (secrets(name, f"curl -H 'X-API-Key: {new_token().value}'\n") or "")
        token = bearer.new_token("ppt_").value
        assert name in (secrets(name, f"curl -H 'Authorization: Bearer {token}'\n") or "")

    @pytest.mark.parametrize("content", ["-----BEGIN RSA " + "PRIVATE KEY-----", "token = 'AK" + "IAIOSFODNN7EXAMPL3'"])
    def test_those_of_others_are_found(self, secrets, content):
        assert "tests/fixture.py" in (secrets("tests/fixture.py", content + "\n") or "")
