"""A publisher brings the document of a service, has a published API a minute later, and brings the next edition."""

import re

from playwright.sync_api import Page, expect

from tests.factories import PETS
from tests.journeys.conftest import House
from tests.journeys.test_accessible import look, sign_in


def test_from_a_document_to_a_published_api_and_its_next_edition(page: Page, house: House) -> None:
    problems = []
    sign_in(page, house.administrator, house.password)
    page.goto("/apis")
    page.get_by_role("link", name="Import API").click()
    page.get_by_label("File").set_input_files({"name": "pets.yaml", "mimeType": "application/yaml", "buffer": PETS})
    page.get_by_role("button", name="Read document").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Pets")
    problems += look(page)
    page.get_by_role("button", name="Create and publish").click()
    expect(page.get_by_text("Pets is published.")).to_be_visible()

    page.get_by_role("link", name="Import document").click()
    edition = PETS.replace(b"title: Pets", b"title: More pets").replace(b"/pets:", b"/animals:")
    page.get_by_label("Text").fill(edition.decode())
    page.get_by_role("button", name="Read document").click()
    expect(page.get_by_text("2 break callers")).to_be_visible()
    problems += look(page)
    preview = page.url
    page.goto(f"{preview}/changes")
    problems += look(page)
    page.goto(f"{preview}/operations")
    problems += look(page)
    page.goto(preview)
    page.get_by_role("button", name="Apply and publish").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("More pets")

    assert problems == []


def test_large_document_is_waited_for_on_its_page(page: Page, house: House) -> None:
    sign_in(page, house.administrator, house.password)
    page.goto("/apis/import")
    data = PETS.replace(b"title: Pets", b"title: Large") + b"# and so on\n" * 100_000
    page.get_by_label("File").set_input_files({"name": "large.yaml", "mimeType": "application/yaml", "buffer": data})
    page.get_by_role("button", name="Read document").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert look(page) == []
    # Nobody clicks: the page notices by itself.
    expect(page.get_by_label("Name", exact=True)).to_have_value("Large", timeout=60_000)
    page.get_by_role("button", name="Discard import").click()
    expect(page).to_have_url(re.compile(r"/apis$"))
