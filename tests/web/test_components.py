"""The files of the shell agree with each other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

ROOT = Path(__file__).parent.parent.parent
COMPONENTS = sorted((ROOT / "templates/components").glob("*.html"))


def test_vendored_files_are_as_recorded():
    done = subprocess.run([sys.executable, ROOT / "static/vendor/fetch.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_component_file_holds_the_macro_of_its_name_and_says_how_to_use_it(path):
    module = Environment(loader=FileSystemLoader(ROOT / "templates")).parse(path.read_text())
    macros = [node.name for node in module.body if type(node).__name__ == "Macro" and not node.name.startswith("_")]
    assert macros == [path.stem]
    assert path.read_text().startswith(f"{{# {path.stem}(")


def test_every_icon_that_a_template_names_is_in_the_sprite():
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/vendor/icons.svg").read_text()))
    named = {
        n for p in (ROOT / "templates").rglob("*.html") for n in re.findall(r'icon\("([a-z0-9-]+)"', p.read_text())
    }
    assert named - drawn == set()


def test_no_template_writes_a_style_attribute_or_an_inline_handler():
    offenders = [
        p.name for p in (ROOT / "templates").rglob("*.html") if re.search(r'\s(style|on[a-z]+)="', p.read_text())
    ]
    assert offenders == []
