"""Every answer tells the browser to run, load and frame nothing that is not the portal's own."""

import re

import orjson
import pytest

from portal.config import Config
from tests.web.attacks.pages import Page, browser, routes, walk

FORBIDDEN = {"iframe", "frame", "object", "embed", "applet", "base", "portal"}


def policy_of(answer) -> dict[str, list[str]]:
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in parts}


def nonce_of(answer) -> str:
    return next(value for value in policy_of(answer)["script-src"] if value.startswith("'nonce-"))[7:-1]


def problems(answer) -> list[str]:
    """What is wrong with one answer."""
    found = []
    policy = policy_of(answer)
    nonce = nonce_of(answer)
    expected = {
        "default-src": ["'self'"],
        "script-src": ["'self'", f"'nonce-{nonce}'"],
        "style-src": ["'self'", f"'nonce-{nonce}'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    if policy != expected:
        found.append(f"policy {policy}")
    if len(nonce) < 20:
        found.append("short nonce")
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items():
        if answer.headers.get(name) != value:
            found.append(f"{name}: {answer.headers.get(name)}")
    if answer.get_data() and "charset" not in answer.content_type and answer.mimetype.startswith("text/"):
        found.append(f"no charset: {answer.content_type}")
    if answer.mimetype == "text/html":
        found += _of_html(answer, nonce)
    return found


def _of_html(answer, nonce: str) -> list[str]:
    page = Page(answer.get_data(as_text=True))
    config: Config = answer.request.environ["portico.config"]
    found = [f"<{tag}>" for tag, _ in page.elements if tag in FORBIDDEN]
    by_get = False
    for tag, attributes in page.elements:
        found += [f"<{tag} {name}>" for name in attributes if name == "style" or name.startswith("on")]
        if tag == "meta" and attributes.get("http-equiv"):
            found.append(f"meta http-equiv {attributes['http-equiv']}")
        if tag == "form":
            by_get = attributes.get("method", "get").lower() == "get"
        if by_get and attributes.get("type") == "password":
            found.append("a form that sends a password by GET")
    for attributes, content in page.scripts:
        if attributes.get("nonce", nonce if attributes.get("src") else None) != nonce:
            found.append("a script without the nonce")
        if "src" not in attributes:
            if attributes.get("type") != "application/json":
                found.append("an inline script or style")
            else:
                orjson.loads(content)
    own = ("/", "#", "?", config.url)
    for tag, name, value in page.addresses():
        allowed = (*own, config.gateway_url) if (tag, name) == ("a", "href") else own
        if (not value.startswith(allowed) and value != "") or value.startswith("//"):
            found.append(f"<{tag} {name}={value!r}>")
    return found


def is_sealed(answer) -> bool:
    """A file as somebody brought it, which is saved and never shown: nothing in it could run."""
    is_saved = answer.headers.get("Content-Disposition", "").startswith("attachment")
    return is_saved and policy_of(answer) == {"sandbox": [], "default-src": ["'none'"]}


def look(world, address, answer, wrong, nonces):
    if is_sealed(answer):
        if answer.headers["X-Content-Type-Options"] != "nosniff":
            wrong.append(f"{address}: may be taken for a page")
        return
    answer.request.environ["portico.config"] = world.app.extensions["portico"]
    wrong += [f"{address}: {problem}" for problem in problems(answer)]
    nonces.append(nonce_of(answer))


@pytest.mark.parametrize("who", ["stranger", "developer", "administrator"])
def test_every_page_is_closed_to_what_is_not_ours(world, who):
    wrong: list[str] = []
    nonces: list[str] = []
    for address, answer in walk(world, who):
        look(world, address, answer, wrong, nonces)
        if not address.startswith("/static/"):
            assert "no-store" in answer.headers["Cache-Control"], address
    assert wrong == []
    assert len(set(nonces)) == len(nonces) > 2


def test_every_refusal_is_too(world):
    wrong: list[str] = []
    nonces: list[str] = []
    statuses = set()
    for who in ("stranger", "outsider", "administrator"):
        for method, address, sent in (
            ("GET", "/nothing/here", {}),
            ("GET", "/settings/people", {}),
            ("GET", "/consumers/none/such", {}),
            ("DELETE", "/apis", {}),
            ("POST", "/apis/new", {"data": {"name": "x" * 2_100_000}}),
            ("POST", "/apis/new", {"data": {}}),
            ("POST", "/settings", {"data": {}}),
            ("POST", "/settings", {"data": "{}", "content_type": "application/json"}),
            ("GET", "/calls?status=none-such", {}),
            ("GET", "/sign-in", {"headers": {"Host": "evil.example"}}),
            ("GET", "/static/none-such.css", {}),
        ):
            with browser(world, who).open(address, method=method, **sent) as answer:
                look(world, address, answer, wrong, nonces)
                statuses.add(answer.status_code)
    assert wrong == []
    assert {303, 400, 401, 403, 404, 405, 413, 415, 422} <= statuses
    assert len(set(nonces)) == len(nonces)


def test_a_form_that_is_refused_shows_no_password_again(world):
    client = browser(world, "stranger")
    for page in ("/sign-in", "/sign-up"):
        answer = client.post(page, data={"email": "x", "name": "", "password": "not to be seen"})
        assert answer.status_code == 422
        assert "not to be seen" not in answer.text


def test_every_password_is_typed_unseen_and_may_be_pasted(world):
    found = 0
    for who in ("stranger", "administrator"):
        for _, answer in walk(world, who):
            for tag, attributes in (
                Page(answer.get_data(as_text=True)).elements if answer.mimetype == "text/html" else ()
            ):
                if tag == "input" and "password" in attributes.get("name", ""):
                    found += 1
                    assert attributes["type"] == "password"
                    assert attributes["autocomplete"] in {"current-password", "new-password"}
                    assert not re.search("readonly|maxlength", " ".join(attributes))
    assert found >= 5


def test_the_routes_are_really_walked(world):
    assert len(routes(world, "GET")) > 40
