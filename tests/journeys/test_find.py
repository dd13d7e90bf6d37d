"""The palette: opened, used and left by the keyboard alone; and its page without scripts."""

import re

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.journeys.conftest import House
from tests.journeys.test_accessible import look, sign_in


@pytest.fixture
def palette(page: Page, house: House) -> Page:
    sign_in(page, house.administrator, house.password)
    page.goto("/consumers")
    return page


def test_from_any_page_to_an_api_and_back_by_the_keyboard_alone(palette: Page) -> None:
    notices = palette.get_by_role("link", name=re.compile("^Notices"))
    notices.focus()
    palette.keyboard.press("Control+k")
    dialog, field = palette.get_by_role("dialog", name="Find"), palette.get_by_role("combobox", name="Find")
    expect(dialog).to_be_visible()
    expect(field).to_be_focused()
    expect(dialog.get_by_role("option", name="Home")).to_have_attribute("aria-selected", "true")
    assert look(palette) == []

    palette.keyboard.type("httpbin")
    api = dialog.get_by_role("option", name=re.compile("^httpbin"))
    expect(api.first).to_have_attribute("aria-selected", "true")
    expect(dialog.get_by_role("status")).to_have_text(re.compile(r"^\d+ results?$"))
    expect(field).to_have_attribute("aria-activedescendant", re.compile("^find-"))

    palette.keyboard.press("ArrowUp")  # from the first to the last
    expect(dialog.get_by_role("option").last).to_have_attribute("aria-selected", "true")
    palette.keyboard.press("ArrowDown")
    expect(dialog.get_by_role("option").first).to_have_attribute("aria-selected", "true")

    palette.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(notices).to_be_focused()

    palette.keyboard.press("Control+k")
    expect(field).to_have_value("httpbin")
    expect(api.first).to_have_attribute("aria-selected", "true")
    palette.keyboard.press("Enter")
    expect(palette.get_by_role("heading", level=1)).to_contain_text("httpbin")
    palette.go_back()
    expect(dialog).to_be_hidden()


def test_nothing_found_is_said_and_enter_leads_to_the_page(palette: Page) -> None:
    palette.keyboard.press("Control+k")
    palette.keyboard.type("zebra crossing")
    dialog = palette.get_by_role("dialog", name="Find")
    expect(dialog).to_contain_text("Nothing found for zebra crossing")
    expect(dialog.get_by_role("status")).to_have_text("Nothing found")
    expect(palette.get_by_role("combobox", name="Find")).to_have_attribute("aria-expanded", "false")
    assert look(palette) == []

    palette.keyboard.press("Enter")

    palette.wait_for_url(re.compile(r"/find\?q=zebra"))
    expect(palette.locator("main")).to_contain_text("Nothing found")


def test_the_secret_of_a_key_never_leaves_the_browser(palette: Page) -> None:
    secret = "S" * 33
    asked: list[Request] = []
    palette.on("request", lambda request: asked.append(request))

    palette.keyboard.press("Control+k")
    palette.keyboard.insert_text(f"pco_abcdefghijkl_{secret}")
    dialog = palette.get_by_role("dialog", name="Find")
    expect(palette.get_by_role("combobox", name="Find")).to_have_value("pco_abcdefghijkl_")
    expect(dialog.get_by_role("link", name="Report it as leaked")).to_be_visible()
    palette.keyboard.press("Enter")
    palette.wait_for_url(re.compile("/find"))
    palette.goto("/why")
    # The answer would be that this is no request id, and Chromium would complain of its status.
    palette.route("**/why?id=*", lambda route: route.fulfill(body="asked"))
    palette.get_by_label("Request id").fill(f"pco_abcdefghijkl_{secret}")
    palette.get_by_role("button", name="Explain").click()
    expect(palette.get_by_text("asked", exact=True)).to_be_visible()

    assert any("pco_abcdefghijkl_" in each.url for each in asked)
    assert not any("SSSS" in each.url + (each.headers.get("referer") or "") for each in asked)


def test_on_a_small_screen_by_touch(palette: Page) -> None:
    palette.set_viewport_size({"width": 400, "height": 800})
    palette.get_by_role("link", name="Find", exact=True).click()
    dialog = palette.get_by_role("dialog", name="Find")
    expect(dialog.get_by_role("option", name="Home")).to_be_visible()
    assert palette.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 400
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_without_scripts_the_field_leads_to_a_page(browser: Browser, house: House) -> None:
    context = browser.new_context(base_url=house.portal, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, house.administrator, house.password)

    page.get_by_role("search").get_by_role("textbox", name="Find").fill("httpbin")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/find\?q=httpbin"))
    page.locator("main").get_by_role("link", name=re.compile("^httpbin")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("httpbin")
    context.close()
