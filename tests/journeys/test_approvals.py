"""From the catalogue to a request, and from the inbox to a decision."""

import re

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.journeys.conftest import House
from tests.journeys.test_newcomer import sign_in


def test_a_plan_is_asked_for_approved_and_called_under(page: Page, house: House, upstream: str) -> None:
    sign_in(page, house)
    register(page, upstream)
    make_plan(page)
    offer(page)

    page.goto("/catalogue/platform/invoices/v1/subscribe")
    page.get_by_label("Application").select_option(label="A new consumer")
    page.get_by_label("Name of the new consumer").fill("Ledger app")
    page.get_by_label("Team", exact=True).select_option(label="Platform")
    expect(page.get_by_label("What for")).to_be_hidden()
    page.get_by_label(re.compile("^Reviewed")).check()
    page.get_by_label("What for").fill("Our own bookkeeping.")
    page.get_by_label("Expected calls a day").fill("2000")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ledger app")
    expect(page.locator("main")).to_contain_text("pending")

    inbox = page.get_by_role("link", name=re.compile("^Approvals"))
    expect(inbox).to_contain_text("1")
    inbox.click()
    assert serious(page) == []
    page.get_by_role("link", name="Ledger app").click()
    expect(page.locator("main")).to_contain_text("Our own bookkeeping.")
    assert serious(page) == []
    page.get_by_label("Words to the team that asks").fill("Welcome.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

    page.goto("/consumers/platform/ledger-app")
    expect(page.locator("main")).to_contain_text("approved")
    page.goto("/approvals/decided")
    expect(page.locator("main")).to_contain_text("Welcome.")


def test_several_are_decided_without_a_mouse(page: Page, house: House) -> None:
    sign_in(page, house)
    for name in ("First app", "Second app"):
        page.goto("/catalogue/platform/invoices/v1/subscribe?plan=reviewed")
        page.get_by_label("Application").select_option(label="A new consumer")
        page.get_by_label("Name of the new consumer").fill(name)
        page.get_by_label("What for").fill("A trial.")
        page.get_by_role("button", name="Subscribe").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)

    page.goto("/approvals")
    for name in ("First app", "Second app"):
        page.get_by_label(re.compile(f"Choose the request of {name}")).press("Space")
    page.get_by_label("Words to the team that asks").fill("Not this quarter.")
    page.get_by_role("button", name="Reject chosen").press("Enter")

    expect(page.locator(".flashes")).to_contain_text("2 requests are rejected")
    page.goto("/approvals/decided?state=rejected")
    expect(page.locator("main")).to_contain_text("Not this quarter.")


def register(page: Page, upstream: str) -> None:
    page.goto("/apis/new")
    page.get_by_label("Name", exact=True).fill("Invoices")
    page.get_by_label("Team").select_option(label="Platform")
    page.get_by_label("Target", exact=True).fill(upstream)
    page.get_by_role("button", name="Create and publish").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Invoices")


def make_plan(page: Page) -> None:
    page.goto("/plans/new?team=platform")
    page.get_by_label("Name", exact=True).fill("Reviewed")
    page.get_by_label("Subscriptions wait for approval").check()
    page.get_by_role("button", name="Make plan").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Reviewed")


def offer(page: Page) -> None:
    page.goto("/apis/platform/invoices/v1/plans")
    page.get_by_label(re.compile("^Reviewed")).first.check()
    page.get_by_role("button", name="Save offer").click()
    expect(page.locator(".flashes")).to_contain_text("offers")


def serious(page: Page) -> list[str]:
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [each["id"] for each in found["violations"] if each["impact"] in {"serious", "critical"}]
