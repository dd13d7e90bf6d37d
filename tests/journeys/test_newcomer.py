"""What a newcomer does and sees, from the first sign-in to the first call."""

import re
import subprocess

from playwright.sync_api import Page, expect

from tests.journeys.conftest import House


def sign_in(page: Page, house: House) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(house.administrator)
    page.get_by_label("Password").fill(house.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")


def test_the_first_page_is_alive(page: Page, house: House) -> None:
    sign_in(page, house)

    expect(page.locator(".stats")).to_contain_text("Calls")
    # The sample's calls come in by themselves.
    expect(page.get_by_role("link", name="httpbin").first).to_be_visible(timeout=40_000)


def test_from_an_upstream_to_the_first_call(page: Page, house: House, upstream: str) -> None:
    sign_in(page, house)

    page.get_by_role("link", name="APIs", exact=True).click()
    page.get_by_role("link", name="Register API").first.click()
    page.get_by_label("Name", exact=True).fill("Orders")
    page.get_by_label("Team").select_option(label="Platform")
    page.get_by_label("Target", exact=True).fill(upstream)
    page.get_by_role("button", name="Create and publish").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Orders")

    page.get_by_role("link", name="Consumers", exact=True).click()
    page.get_by_role("link", name="Make consumer").first.click()
    page.get_by_label("Name", exact=True).fill("Web shop")
    page.get_by_label("Team").select_option(label="Platform")
    page.get_by_role("button", name="Make consumer").click()
    page.get_by_role("link", name=re.compile("Subscribe")).first.click()
    page.get_by_role("link", name="Orders").click()
    page.get_by_role("button", name="Subscribe").click()
    page.get_by_role("link", name="Issue key").first.click()
    page.get_by_label("Label").fill("laptop")
    page.get_by_role("button", name="Issue key").click()

    command = page.locator(".code-block code").inner_text()
    assert re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", command)
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    answered = subprocess.run(
        ["bash", "-c", f"for n in 1 2 3 4 5 6 7 8 9 10; do {command} -fsS && exit; sleep 0.5; done; exit 1"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert answered.stdout.startswith("GET /"), answered.stderr
    expect(page.get_by_text("First call received.")).to_be_visible()
    page.get_by_role("link", name="Open the call").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("/orders/v1")
    expect(page.locator("main")).to_contain_text("Web shop")


def test_one_button_removes_the_sample(page: Page, house: House) -> None:
    sign_in(page, house)

    page.get_by_role("button", name="Remove sample").click()
    expect(page.get_by_role("button", name="Remove sample")).to_have_count(0)

    page.goto("/apis")
    expect(page.locator("main")).not_to_contain_text("httpbin")


def test_the_pages_need_no_script_to_be_read(browser, house: House) -> None:
    context = browser.new_context(base_url=house.portal, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, house)
    for path in ("/", "/apis", "/plans", "/consumers", "/calls", "/traffic", "/gateway", "/settings"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200
        assert page.locator("h1").count() == 1
    context.close()
