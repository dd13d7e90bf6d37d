"""No other site, and no other session, sends a form in somebody's name."""

import re

import pytest

from tests.web.attacks.pages import browser, routes, rows, walk

ROLES = ["stranger", "outsider", "developer", "owner", "administrator"]
OVERRIDES = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}


def token_of(client) -> str:
    page = client.get("/sign-in")
    if page.status_code != 200:
        page = client.get("/settings")
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]


@pytest.mark.parametrize("who", ROLES)
class TestEveryForm:
    def test_without_a_token_changes_nothing(self, world, who):
        client, before, taken = browser(world, who, tokens=True), rows(world), []
        for rule, address in routes(world, "POST"):
            for form in ({}, {"csrf_token": ""}, {"csrf_token": "forged"}):
                answer = client.post(address, data=form | {"confirm": "yes", "name": "Changed"})
                if answer.status_code != 400:
                    taken.append(f"{rule}: {answer.status_code}")
        assert taken == []
        assert rows(world) == before

    def test_with_the_token_of_another_session_changes_nothing(self, world, who):
        other = token_of(browser(world, "developer", tokens=True))
        client, before, taken = browser(world, who, tokens=True), rows(world), []
        assert token_of(client) != other
        for rule, address in routes(world, "POST"):
            by_form = client.post(address, data={"csrf_token": other})
            by_header = client.post(address, headers={"X-CSRFToken": other})
            if {by_form.status_code, by_header.status_code} != {400}:
                taken.append(str(rule))
        assert taken == []
        assert rows(world) == before

    def test_with_its_own_token_is_taken(self, world, who):
        """What is refused above is not simply everything."""
        client = browser(world, who, tokens=True)
        answer = client.post("/sign-out", data={"csrf_token": token_of(client)})

        assert answer.status_code == 302


class TestSafeMethods:
    def test_looking_at_every_page_changes_nothing_but_that_exports_are_told(self, world):
        before = rows(world)
        assert len(list(walk(world))) > 40
        after = rows(world)
        told = [entry for entry in after.pop("audit_entry") if entry not in before["audit_entry"]]
        del before["audit_entry"]
        assert {entry[5] for entry in told} == {"exported"}
        assert after == before

    def test_no_header_and_no_field_makes_a_post_of_a_get(self, world):
        client, before = browser(world, "administrator"), rows(world)
        for _, address in routes(world, "POST"):
            for method in ("GET", "HEAD", "OPTIONS"):
                with client.open(
                    address,
                    method=method,
                    headers=OVERRIDES,
                    query_string={"_method": "POST", "confirm": "yes", "name": "Changed", "allowed": "1"},
                    data={"_method": "POST", "name": "Changed"},
                ) as answer:
                    assert answer.status_code < 500
        assert rows(world) == before

    def test_other_methods_are_refused(self, world):
        client = browser(world, "administrator")
        for rule, address in routes(world, "GET"):
            for method in {"PUT", "PATCH", "DELETE", "TRACE", "CONNECT"} - rule.methods:
                assert client.open(address, method=method).status_code == 405, f"{method} {rule}"

    def test_no_page_is_for_scripts_of_other_sites(self, world):
        client = browser(world, "administrator")
        asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        for rule, address in routes(world, "GET"):
            for method in ("GET", "OPTIONS"):
                with client.open(address, method=method, headers=asks) as answer:
                    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")], rule
