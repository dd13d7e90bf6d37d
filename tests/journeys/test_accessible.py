"""Every page that links lead to, by who is signed in: axe finds nothing serious, neither in light nor in dark, and at
400 px nothing is wider than the window."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from flask import Flask
from playwright.sync_api import Browser, Page, TimeoutError, expect

from portal import create_app
from portal.config import Config
from tests.journeys.conftest import House

NO_PAGES = re.compile(
    r"static|imports\.original|health\.(alive|ready|metrics)|.*\.export(_csv)?|account\.data|"
    r"docs\.(preview_)?openapi_(json|yaml)|rest\..*"
)
"""What answers with a file, or for programs."""

NOT_LINKED = {
    # Links that only a mail has.
    "accounts.confirm_address",
    "security.reset_password",
    "invitations.accept",
    "notices.unsubscribe",
    "approvals.follow",
    # Between password and code, and what leads to pages of ours.
    "security.two_factor_token_validation",
    "security.two_factor_rescue",
    "security.two_factor_setup",
    "security.tf_select",
    "security.mf_recovery",
    "security.mf_recovery_codes",
    "security.verify",
    # Nobody has a second factor, an access token, an invitation or a secret here, and one's own account is another
    # page than somebody's.
    "second_factor.turn_off",
    "access_tokens.revoke",
    "people.take_off_second_factor",
    "invitations.withdraw",
    "secrets.replace",
    "secrets.delete",
    "account.delete_me",
    # No API takes tokens here.
    "apis.token_keys",
    "consumers.subject",
    # No team has a channel here.
    "channels.show",
    "channels.edit",
    "channels.rotate",
    "channels.delete",
    "channels.delivery",
    # Nothing is asked for: test_approvals.py looks at it.
    "approvals.show",
    # The team owns something and has no other member; the draft is what is published.
    "estate.delete",
    "settings.remove_member",
    "apis.publish",
    # It has one release and one version, and goes on.
    "apis.republish",
    "apis.compare_operations",
    "apis.carry",
    "apis.retire",
    # Forms lead there; there is no category.
    "keys.revoke_unused",
    "apis.compare",
    "admin.create_view",
    "admin.delete_view",
    # The sample's answers have no schemas of their own.
    "docs.schemas",
    "docs.schema",
    "docs.part",
    # Its draft is what is published.
    "docs.preview",
    "docs.preview_operations",
    "docs.preview_operation",
    "docs.preview_schemas",
    "docs.preview_schema",
    "docs.preview_part",
    # Its document refers to nothing outside of its schemas that has a page.
    "rest_docs.part",
    # Nobody has an import open; test_importing.py looks at these.
    "imports.show",
    "imports.its_operations",
    "imports.changes",
    # Parts of other pages.
    "imports.progress",
    "apis.live",
    "apis.targets",
    "keys.first_call",
}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """What an address is called."""
    return create_app(Config(data_dir=tmp_path_factory.mktemp("routes")))


def test_every_page_for_an_administrator(page: Page, house: House, routes: Flask) -> None:
    sign_in(page, house.administrator, house.password)

    seen = walk(page, house, routes, ["/", "/status"])

    missing = pages(routes) - seen.keys() - NOT_LINKED
    assert {name for name in missing if not name.startswith("security.")} == set()
    assert found_in(seen) == []


def test_every_page_for_a_developer(page: Page, house: House, routes: Flask) -> None:
    email, password = developer(page, house)
    page.context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    # It was made for them, so it opens this page only.
    assert look(page) == []
    page.get_by_label("Current password").fill(password)
    page.get_by_label("New password", exact=True).fill("one that nobody else has seen")
    page.get_by_label("New password again").fill("one that nobody else has seen")
    page.get_by_role("button", name="Change password").click()
    page.get_by_role("heading", name="Settings").wait_for()

    seen = walk(page, house, routes, ["/"])

    assert {
        "home.show",
        "apis.show",
        "consumers.show",
        "calls.show",
        "sessions.index",
        "account.delete_me",
    } <= seen.keys()
    assert not any(name.startswith("admin") for name in seen)
    assert found_in(seen) == []


def test_every_page_for_a_stranger(page: Page, house: House, routes: Flask) -> None:
    seen = walk(page, house, routes, ["/sign-in"])

    assert {"security.login", "security.register", "security.forgot_password"} <= seen.keys()
    assert found_in(seen) == []


def test_forms_that_were_not_accepted(browser: Browser, house: House) -> None:
    # Not the usual page: the console repeats every 422.
    page = browser.new_context(base_url=house.portal).new_page()
    sign_in(page, house.administrator, house.password)
    problems = []
    for address in ("/settings/teams/new", "/settings/people/new", "/settings/password", "/apis/new", "/plans/new"):
        page.goto(address)
        page.locator("main form[method=post] button[type=submit]").last.click()
        expect(page.locator(".form-summary")).to_be_focused()
        problems += [f"{address}: {problem}" for problem in look(page)]
    page.context.close()
    assert problems == []


def sign_in(page: Page, email: str, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/$"))


def developer(page: Page, house: House) -> tuple[str, str]:
    """Somebody of the sample's team, who sees its API, its consumer and its calls."""
    sign_in(page, house.administrator, house.password)
    email = "dora@portico.example"
    page.goto("/settings/people/new")
    page.get_by_label("Name").fill("Dora Developer")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Add person").click()
    password = page.locator(".secret-value code").inner_text()
    page.goto("/settings/teams/sample")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Add member").click()
    page.get_by_text(email).first.wait_for()
    return email, password


def pages(app: Flask) -> set[str]:
    every = {called(rule.endpoint) for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    return {name for name in every if not NO_PAGES.fullmatch(name)}


def called(endpoint: str) -> str:
    """The tables of the back office share their pages: one of each is enough."""
    return re.sub(r"^admin_\w+\.", "admin.", endpoint)


def walk(page: Page, house: House, app: Flask, addresses: list[str]) -> dict[str, list[str]]:
    """Follow links, to each kind of page once; what is wrong with it, by the name of its view."""
    seen: dict[str, list[str]] = {}
    here = urlsplit(house.portal)
    match = app.url_map.bind(here.netloc).match
    while addresses:
        address = addresses.pop(0)
        name = called(match(urlsplit(address).path)[0])
        if name in seen or NO_PAGES.fullmatch(name):
            continue
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        seen[name] = [f"{address}: {problem}" for problem in look(page)]
        links: list[str] = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
        addresses += [link for link in links if urlsplit(link).netloc == here.netloc and "download" not in link]
    return seen


def look(page: Page) -> list[str]:
    """What axe calls serious or critical, and what is too wide."""
    page.evaluate(AXE_SCRIPT)
    problems = []
    for scheme, rules in (("light", None), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
        found = page.evaluate("options => axe.run(document, options)", options)
        for violation in found["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                where = violation["nodes"][0]["html"][:200]
                problems.append(f"{violation['id']} ({scheme}): {violation['help']}: {where}")
    size = page.viewport_size
    page.set_viewport_size({"width": 400, "height": 800})
    try:
        # Charts take another size a moment later.
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth", timeout=5_000)
    except TimeoutError:
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        problems.append(f"at 400 px it is {over} px too wide")
    if size:
        page.set_viewport_size(size)
    return problems


def found_in(seen: dict[str, list[str]]) -> list[str]:
    return [problem for problems in seen.values() for problem in problems]
