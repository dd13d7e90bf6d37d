"""The whole house in a folder of its own, a real browser, and an upstream that somebody might register."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from portal.programs import free_port

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.journey)
            item.add_marker(pytest.mark.xdist_group("journeys"))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium was found"))


@dataclass(frozen=True)
class House:
    """A running installation, as `make run` starts it."""

    portal: str
    gateway: str
    administrator: str
    password: str


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
        "PORTAL_DATA_DIR": str(tmp_path_factory.mktemp("house")),
        "PORTAL_PORT": str(free_port()),
        "PORTAL_GATEWAY_PORT": str(free_port()),
        "PORTAL_UPSTREAM_LOOPBACK": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.run"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "shown this once" in line:
            break
    else:
        pytest.fail(f"It did not start:\n{said}")
    told = threading.Thread(target=process.stdout.read, daemon=True)  # a full pipe would stop the programs
    told.start()
    found = re.search(r"Portal +(\S+).*Gateway +(\S+).*Sign in +(\S+).*Password +(\S+)", said, re.DOTALL)
    assert found is not None
    portal, gateway, administrator, made = found.groups()
    yield House(portal, gateway, administrator, made)
    process.send_signal(signal.SIGINT)
    process.wait(15)
    told.join(5)
    process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # As root, as in a container, Chromium has no sandbox; the rest keeps it from looking for the internet.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """A browser that nobody is signed in with. What its console complains about fails the test."""
    complaints: list[str] = []
    context = browser.new_context(base_url=house.portal)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The address of a server that answers with the method and path of what it was asked."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.command} {self.path}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
