"""Fetch the front-end files that other people wrote, by package name, and keep them as `vendor.toml` records them.

    python static/vendor/fetch.py            fetch with npm, compare with the recorded sums, write files and licences
    python static/vendor/fetch.py --check    compare the files that are here with the recorded sums; needs no network

To take a new version: change `version`, empty that package's `tarball` and `sha256` values, run, read the diff. A sum
that is filled in and does not match stops the run before anything is written. Icons: add the name to `icons` and empty
the sum of `icons.svg`.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE / "vendor.toml"

MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Fetch or check the vendored front-end files.")
    parser.add_argument("--check", action="store_true", help="only compare the files here with the recorded sums")
    packages = tomllib.loads(RECORD.read_text("utf-8"))["package"]
    if parser.parse_args(argv).check:
        problems = check(packages)
        print("\n".join(problems) or "Every vendored file is as recorded.")
        return 1 if problems else 0
    outputs: dict[str, bytes] = {}
    licences: list[tuple[dict[str, Any], str]] = []
    for package in packages:
        with tempfile.TemporaryDirectory() as folder:
            root = _unpack(package, Path(folder))
            for file in package["file"]:
                content = _sprite(root / file["from"], package["icons"]) if "icons" in package else None
                content = content if content is not None else _without_source_map((root / file["from"]).read_bytes())
                file["sha256"] = _agreed(file["sha256"], content, file["to"])
                outputs[file["to"]] = content
            licences.append((package, _licence_text(package, root)))
    for name, content in outputs.items():
        (HERE / name).write_bytes(content)
    (HERE / "LICENSES.md").write_text(_licence_page(licences), "utf-8")
    RECORD.write_text(_toml(packages), "utf-8")
    print(f"{len(outputs)} files from {len(packages)} packages are as recorded.")
    return 0


def check(packages: list[dict[str, Any]]) -> list[str]:
    """Sentences about files here that differ from their recorded sums; empty when all agree."""
    problems = []
    for file in (file for package in packages for file in package["file"]):
        path = HERE / file["to"]
        if not path.is_file():
            problems.append(f"{file['to']} is missing; run static/vendor/fetch.py.")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            problems.append(f"{file['to']} is not the file that vendor.toml records; run static/vendor/fetch.py.")
    return problems


def _unpack(package: dict[str, Any], folder: Path) -> Path:
    wanted = f"{package['name']}@{package['version']}"
    # Without the version npm may pick an older one that suits its own Node; scripts of packages never run.
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), wanted]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    (tarball,) = folder.glob("*.tgz")
    package["tarball"] = _agreed(package["tarball"], tarball.read_bytes(), wanted)
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _agreed(recorded: str, content: bytes, name: str) -> str:
    found = hashlib.sha256(content).hexdigest()
    if recorded and recorded != found:
        raise SystemExit(f"{name}: the recorded sha256 is {recorded}, this one has {found}. Nothing was written.")
    return found


def _without_source_map(content: bytes) -> bytes:
    # The maps are not shipped; a browser with open tools would ask for them and log a 404.
    return re.sub(rb"\s*(//[#@] sourceMappingURL=\S+|/\*[#@] sourceMappingURL=.*?\*/)\s*\Z", b"\n", content)


def _sprite(folder: Path, names: list[str]) -> bytes:
    """One SVG whose symbols are the named icons; `<use href="icons.svg#name">` draws one in the text's colour."""
    symbols = []
    for name in sorted(names):
        source = (folder / f"{name}.svg").read_text("utf-8")
        inner = source[source.index(">", source.index("<svg")) + 1 : source.rindex("</svg>")]
        inner = re.sub(r'<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>', "", inner)
        inner = re.sub(r">\s+<", "><", inner.strip())
        # What <use> draws inherits from the place of use, not from this file's root: each symbol says how it is drawn.
        drawn = 'fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round"'
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24" {drawn}>{inner}</symbol>')
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg">', *symbols, "</svg>", ""]).encode()


def _licence_text(package: dict[str, Any], root: Path) -> str:
    if "licence_files" in package:
        return "\n\n".join((root / name).read_text("utf-8").strip() for name in package["licence_files"])
    return f"{package['copyright']}\n\n{MIT}".strip()


def _licence_page(licences: list[tuple[dict[str, Any], str]]) -> str:
    lines = ["# Licences of the vendored files", "", "Written by `fetch.py`.", ""]
    lines += ["| package | version | licence | files |", "| --- | --- | --- | --- |"]
    for package, _ in licences:
        files = ", ".join(f"`{file['to']}`" for file in package["file"])
        lines.append(f"| {package['name']} | {package['version']} | {package['licence']} | {files} |")
    for package, text in licences:
        body = "\n".join(line.rstrip() for line in text.splitlines())
        lines += ["", f"## {package['name']}", "", "```text", body, "```"]
    return "\n".join(lines) + "\n"


def _toml(packages: list[dict[str, Any]]) -> str:
    # The values here are strings and lists of strings, which TOML and JSON write alike.
    lines = [
        "# What the browser gets from other people. `fetch.py` reads and rewrites this file; its docstring says how."
    ]
    for package in packages:
        lines += ["", "[[package]]"]
        for key, value in package.items():
            if key == "icons":
                lines += ["icons = [", *(f"    {json.dumps(name)}," for name in sorted(set(value))), "]"]
            elif key != "file":
                lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
        for file in package["file"]:
            lines += ["", "[[package.file]]", *(f"{key} = {json.dumps(value)}" for key, value in file.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
