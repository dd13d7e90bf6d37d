"""What the words promise is there: settings, commands and pictures of the README."""

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from portal.config import Config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


class TestSettings:
    def test_the_table_is_what_the_code_reads(self):
        said = {name: (default, meaning) for name, default, meaning in table("Settings")}

        expected = {}
        for each in fields(Config):
            secret = " (secret)" if each.metadata["secret"] else ""
            expected[f"`PORTAL_{each.name.upper()}`"] = (default_of(each), each.metadata["says"] + secret)
        assert said == expected


def default_of(each) -> str:
    if each.name == "data_dir":
        return "`./var`"
    if each.name == "node_name":
        return "the host's name"
    value = each.default
    if value in (None, "", ()):
        return ""
    return f"`{int(value) if isinstance(value, bool) else value}`"


class TestCommands:
    def test_every_make_target_is_explained_and_exists(self):
        listed = set(re.findall(r"^  make ([a-z]+) +\S", make("help"), re.MULTILINE))

        assert listed == {"help", "run", "test", "check", "bench", "lock", "clean"}
        assert set(re.findall(r"make ([a-z]+)", README)) <= listed

    def test_every_flask_command_is_explained_and_exists(self, app):
        there = {
            f"{group} {command}"
            for group in ("gateway", "worker", "user", "db", "secrets", "sample", "search")
            for command in app.cli.commands[group].commands
        }

        told = set(re.findall(r"flask ([a-z]+ [a-z]+)", README))
        assert told == there

    def test_every_single_flask_command_is_explained_and_exists(self, app):
        there = {name for name, command in app.cli.commands.items() if not hasattr(command, "commands")}

        told = set(re.findall(r"^\| `flask ([a-z]+)(?: [^a-z`][^`]*)?`", README, re.MULTILINE))
        assert told == there


class TestFiles:
    @pytest.mark.parametrize("name", sorted(set(re.findall(r'(?:\]\(|src="|srcset=")((?!http|#)[^")]+)', README))))
    def test_what_the_readme_points_at_is_there(self, name):
        assert (ROOT / name).exists()

    def test_the_licence_is_apache_2(self):
        said = (ROOT / "LICENSE").read_text()

        assert "Apache License" in said
        assert "END OF TERMS AND CONDITIONS" in said

    def test_the_changelog_has_a_place_for_what_is_next(self):
        assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()

    @pytest.mark.parametrize("lock", ["requirements.txt", "tests/requirements.txt", "deploy/sample-requirements.txt"])
    def test_every_locked_package_has_its_hash(self, lock):
        entries = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text())
        packages = [entry for entry in entries if re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==", entry)]

        assert len(packages) > 10
        assert [entry.split("\n")[0] for entry in packages if "--hash=sha256:" not in entry] == []

    def test_test_tools_run_on_the_very_versions_that_operators_install(self):
        pins = [
            set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / lock).read_text(), re.MULTILINE))
            for lock in ("requirements.txt", "tests/requirements.txt")
        ]

        assert pins[0] <= pins[1]


def make(target: str) -> str:
    return subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
