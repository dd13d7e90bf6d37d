"""What a parser calls text, a browser must not run."""

import re

from playwright.sync_api import Page

PAYLOADS = (
    "<img src=x onerror=document.title='ran'>",
    "</script><script>document.title='ran'</script>",
    "\"' onmouseover=document.title='ran' autofocus onfocus=document.title='ran' x=\"",
)


def test_hostile_names_run_nowhere(page: Page, house) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(house.administrator)
    page.get_by_label("Password").fill(house.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/$"))
    for n, payload in enumerate(PAYLOADS):
        page.goto("/settings/teams/new")
        page.get_by_label("Name").fill(payload)
        page.get_by_label("Slug").fill(f"hostile-{n}")
        page.locator("main form button[type=submit]").click()
        page.wait_for_url(re.compile(f"/settings/teams/hostile-{n}$"))
        page.goto(f"/consumers/new?team=hostile-{n}")
        page.get_by_label("Name").fill(payload)
        page.get_by_label("Slug").fill(f"hostile-{n}")
        page.get_by_label("Description").fill(payload)
        page.locator("main form button[type=submit]").click()
        page.wait_for_url(re.compile(f"/consumers/hostile-{n}/hostile-{n}$"))

    seen = 0
    for n, payload in enumerate(PAYLOADS):
        for address in (
            "/",
            "/consumers",
            "/settings/teams",
            "/settings/people",
            "/calls",
            "/traffic",
            f"/settings/teams/hostile-{n}",
            f"/settings/teams/hostile-{n}/delete",
            f"/consumers/hostile-{n}/hostile-{n}",
            f"/consumers/hostile-{n}/hostile-{n}/edit",
            f"/consumers/hostile-{n}/hostile-{n}/traffic",
            f"/consumers/hostile-{n}/hostile-{n}/keys/new",
            f"/consumers?q={payload.replace('#', '')}",
        ):
            page.goto(address)
            page.locator("main").hover()
            assert page.title() != "ran", address
            assert page.locator("main img, main [onerror], main [onmouseover], main script:not([type])").count() == 0
            seen += payload in page.content() or page.get_by_text(payload).count() > 0
    assert seen >= len(PAYLOADS) * 3
