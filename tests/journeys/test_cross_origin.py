"""A page of one origin calls an API at another with a key, in a real browser: what its script gets to read."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from portal.gateway.ir import Cors, Plan
from portal.registry import access
from tests.gateway import envoy
from tests.gateway.conftest import SUBSCRIBER, api, token_of, world

CALL = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    const exposed = Object.fromEntries(answer.headers.entries());
    return { status: answer.status, headers: exposed, body: await answer.text() };
  } catch (problem) {
    return { blocked: problem.message };
  }
}"""


@dataclass
class Site:
    """A page at an origin of its own, and a gateway that knows of it."""

    page: Page
    gateway: str

    def fetch(self, path: str, *, token: int | None = SUBSCRIBER, **options: Any) -> dict[str, Any]:
        headers = options.pop("headers", {}) | ({"X-API-Key": token_of(token).value} if token is not None else {})
        found: dict[str, Any] = self.page.evaluate(CALL, [f"{self.gateway}{path}", {"headers": headers, **options}])
        return found


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(browser: Browser) -> Iterator[Site]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as pages, envoy.serving() as upstream:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{pages.server_port}"

        def rules(*origins: str, credentials: bool = False, **more: Any) -> Cors:
            found = access.Cors(origins=origins, credentials=credentials, **more)
            sent, read = found.all_headers("X-API-Key"), found.all_exposed_headers()
            return Cors(found.origins, found.all_methods(), sent, read, credentials, found.max_age_s)

        apis = (
            api(1, upstream.port, path="/mine", cors=rules(origin)),
            api(2, upstream.port, path="/others", cors=rules("https://app.example.com")),
            api(3, upstream.port, path="/silent"),
            api(4, upstream.port, path="/all", cors=rules("*")),
            api(5, upstream.port, path="/cookies", cors=rules(origin, credentials=True)),
            api(6, upstream.port, path="/reading", cors=rules(origin, methods=("GET",))),
        )
        gateway = envoy.Gateway.new()
        try:
            gateway.publish(world(*apis, plan=Plan(1, per_minute=100)))
            page = browser.new_page()
            page.goto(origin)
            yield Site(page, f"http://localhost:{gateway.place.port}")
            page.close()
        finally:
            gateway.stop()
            pages.shutdown()


def test_a_call_with_a_key_and_json_is_made_and_read(site: Site) -> None:
    answer = site.fetch("/mine/things", method="POST", headers={"Content-Type": "application/json"}, body="{}")

    assert answer["status"] == 200
    assert answer["headers"]["x-request-id"]
    assert answer["headers"]["ratelimit"].startswith('"minute";r=')
    assert "X-API-Key" not in answer["body"]


def test_each_method_that_is_named_and_no_other(site: Site) -> None:
    assert [site.fetch("/mine", method=method).get("status") for method in access.METHODS] == [200] * 6
    assert site.fetch("/reading")["status"] == 200
    assert "blocked" in site.fetch("/reading", method="DELETE")


def test_a_header_that_is_not_named_is_not_sent(site: Site) -> None:
    assert "blocked" in site.fetch("/mine", headers={"X-Other": "1"})


def test_a_refusal_can_be_read(site: Site) -> None:
    answer = site.fetch("/mine", token=None)

    assert answer["status"] == 401
    assert '"reason":"key_missing"' in answer["body"].replace(" ", "")
    assert answer["headers"]["x-request-id"] in answer["body"]


@pytest.mark.parametrize("path", ["/others", "/silent"])
def test_an_origin_that_is_not_named_reads_nothing(site: Site, path: str) -> None:
    assert "blocked" in site.fetch(path)
    # Even what the target itself would allow.
    if path == "/others":
        assert "blocked" in site.fetch(f"{path}/answer?Access-Control-Allow-Origin=*", token=None)


def test_every_page(site: Site) -> None:
    assert site.fetch("/all")["status"] == 200
    assert "blocked" in site.fetch("/all", credentials="include")


def test_cookies_go_along_where_that_is_said(site: Site) -> None:
    assert site.fetch("/cookies", credentials="include")["status"] == 200
    assert "blocked" in site.fetch("/mine", credentials="include")


def test_a_target_that_speaks_of_cors_itself_does_not_spoil_it(site: Site) -> None:
    """Two values of Access-Control-Allow-Origin would block the call."""
    answer = site.fetch("/mine/answer?Access-Control-Allow-Origin=*&Access-Control-Allow-Credentials=false")

    assert answer["status"] == 200
