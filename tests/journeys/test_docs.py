"""The docs of a published API: its ready commands do what they say, and paper holds what the screen does."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import House
from tests.journeys.test_accessible import sign_in

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Parcels", "version": "1"},
    "paths": {
        "/parcels/{id}": {
            "post": {
                "operationId": "send",
                "summary": "Send a parcel",
                "externalDocs": {"url": "https://parcels.example/more"},
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "example": "a b+ü"},
                    {"name": "to", "in": "query", "required": True, "example": "Zürich & Köln"},
                    {"name": "X-Trace", "in": "header", "required": True, "example": 'it\'s "one" $HOME'},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Parcel"}}}},
                "responses": {"200": {"description": "Fine."}},
            }
        }
    },
    "components": {
        "schemas": {
            "Parcel": {
                "type": "object",
                "required": ["note", "places"],
                "properties": {
                    "note": {"type": "string", "example": "50 % 'off' $HOME\n`now`"},
                    "places": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                f"place{n}": {
                                    "type": "object",
                                    "properties": {f"deep{n}{m}": {"type": "string"} for m in range(3)},
                                }
                                for n in range(8)
                            },
                        },
                    },
                },
            }
        }
    },
}


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The address of a server that answers with what arrived, as JSON."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            names = ("Content-Type", "X-Trace", "X-API-Key")
            said = {"path": self.path, "body": body, **{name: self.headers.get(name) for name in names}}
            answer = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_ready_commands_reach_the_gateway_and_send_what_the_docs_say(page: Page, house: House, echo: str) -> None:
    sign_in(page, house.administrator, house.password)
    publish(page, echo)
    key = key_for(page, "Parcels")
    page.goto("/catalogue/platform/parcels/v1/operations/send")
    curl, python, javascript = (
        page.locator(f".code-of-{language} pre").text_content() or "" for language in ("curl", "python", "javascript")
    )
    assert all(key not in text for text in (curl, python, javascript))
    environment = os.environ | {"PORTICO_KEY": key}

    # A key is live within a second; the shell waits for it.
    said = run(
        ["bash", "-c", f"for n in {{1..20}}; do {curl} --fail --silent && exit; sleep 0.5; done; exit 1"], environment
    )
    by_python = run([sys.executable, "-c", python], environment)

    assert json.loads(said) == {
        "path": "/parcels/a%20b%2B%C3%BC?to=Z%C3%BCrich%20%26%20K%C3%B6ln",
        "body": json.loads(said)["body"],
        "Content-Type": "application/json",
        "X-Trace": 'it\'s "one" $HOME',
        "X-API-Key": None,
    }
    assert json.loads(json.loads(said)["body"])["note"] == "50 % 'off' $HOME\n`now`"
    assert json.loads(by_python) == json.loads(said)
    assert by_fetch(page, javascript, key) == ("200", json.loads(said))


def test_a_command_without_a_key_says_that_it_is_missing(page: Page, house: House) -> None:
    sign_in(page, house.administrator, house.password)
    page.goto("/catalogue/platform/parcels/v1/operations/send")
    curl, python = (page.locator(f".code-of-{it} pre").text_content() or "" for it in ("curl", "python"))
    environment = os.environ | {"PORTICO_KEY": ""}

    assert json.loads(run(["bash", "-c", f"{curl} --silent"], environment))["reason"] == "key_missing"
    refused = subprocess.run(
        [sys.executable, "-c", python], env=environment, capture_output=True, text=True, timeout=30
    )
    assert "401 Client Error" in refused.stderr


def test_on_paper_everything_is_open_and_nothing_is_for_clicking(page: Page, house: House) -> None:
    sign_in(page, house.administrator, house.password)
    page.goto("/catalogue/platform/parcels/v1/operations/send")
    expect(page.get_by_text("deep00", exact=True)).to_be_hidden()

    page.emulate_media(media="print")

    for name in ("deep00", "deep72"):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    for gone in (".docs-nav", ".shell-nav", ".topbar", ".copy", ".docs-open", ".code-tabs fieldset"):
        for one in page.locator(gone).all():
            expect(one).to_be_hidden()
    # The address of a link is read from the paper.
    after = page.get_by_role("link", name="More about this operation").evaluate(
        "link => getComputedStyle(link, '::after').content"
    )
    assert "https://parcels.example/more" in after
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]
    assert page.pdf(format="A4").startswith(b"%PDF")


def publish(page: Page, target: str) -> None:
    page.goto("/apis/import")
    page.get_by_label("Team").select_option(label="Platform")
    page.get_by_label("Text").fill(json.dumps(DOCUMENT))
    page.get_by_role("button", name="Read document").click()
    page.get_by_label("Target", exact=True).fill(target)
    page.get_by_role("button", name="Create and publish").click()
    expect(page.get_by_text("Parcels is published.")).to_be_visible()


def key_for(page: Page, api: str) -> str:
    page.goto("/consumers/new")
    page.get_by_label("Name", exact=True).fill(f"Caller of {api}")
    page.get_by_label("Team").select_option(label="Platform")
    page.get_by_role("button", name="Make consumer").click()
    page.get_by_role("link", name=re.compile("Subscribe")).first.click()
    page.get_by_role("link", name=api, exact=True).click()
    page.get_by_role("button", name="Subscribe").click()
    page.get_by_role("link", name="Issue key").first.click()
    page.get_by_label("Label").fill("docs")
    page.get_by_role("button", name="Issue key").click()
    found = re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", page.locator(".code-block code").first.inner_text())
    assert found is not None
    return found[0]


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_fetch(page: Page, module: str, key: str) -> tuple[str, object]:
    """Status and answer that the snippet prints. The browser runs it as a module, at the gateway's own address: it asks
    no other server without that server's leave."""
    server = re.search(r'fetch\("(https?://[^/"]+)', module)
    assert server is not None
    other = page.context.new_page()
    other.goto(f"{server[1]}/_portico/health")
    environment = f"globalThis.process = {{env: {{PORTICO_KEY: {json.dumps(key)}}}}};"
    # Of its own accord the browser asks for an icon of the page, and complains that there is none.
    with other.expect_console_message(lambda message: message.type == "log") as said:
        other.add_script_tag(content=f"{environment}\n{module}", type="module")
    status, _, answer = said.value.text.partition(" ")
    other.close()
    return status, json.loads(answer)
