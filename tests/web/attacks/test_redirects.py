"""Signing in leads to a page of the portal, however another place is spelt."""

from urllib.parse import urljoin, urlsplit

import pytest
from flask_security import hash_password

from tests import factories

PASSWORD = "correct horse battery"

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "http://localhost@evil.example/",
    "http://localhost:80@evil.example/",
    "http://localhost\\.evil.example/",
    "http://localhost.evil.example/",
    "http://localhost:81/",
    "%2F%2Fevil.example",
    "%5C%5Cevil.example",
    "/%2Fevil.example",
    "/%5Cevil.example",
    "/%09/evil.example",
    " //evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\x19//evil.example",
    "/\u2028/evil.example",
    "/..//evil.example",
    "/./\\evil.example",
    "javascript:alert(1)",
    "data:text/html,evil",
    "ftp://localhost/",
    "/\r\nSet-Cookie: evil=1",
    "/\r\nLocation: https://evil.example",
]


@pytest.fixture
def mika(app, session):
    with app.app_context():
        person = factories.person(session, email="mika@portico.example", password=hash_password(PASSWORD))
    session.commit()
    return person


def leads(answer) -> str:
    """The host that a browser would be on after this answer. It drops tabs and line ends, and reads `\\` as `/`."""
    location = answer.headers.get("Location", "/")
    assert "\r" not in location
    assert "\n" not in location
    read = "".join(each for each in location if each > "\x20").replace("\\", "/")
    if read.startswith("//") or ":" in read.partition("/")[0]:
        return urlsplit(read).netloc or read
    return urlsplit(urljoin("http://localhost/sign-in", read)).netloc


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
class TestNext:
    def test_of_the_sign_in_form(self, client, mika, elsewhere):
        answer = client.post(
            "/sign-in",
            data={"email": mika.email, "password": PASSWORD, "next": elsewhere},
            headers={"HX-Request": "true"},
        )

        assert leads(answer) == "localhost"
        assert not {"HX-Redirect", "HX-Location", "HX-Push-Url", "Refresh"} & set(answer.headers.keys())
        assert not any(cookie.startswith("evil") for cookie in answer.headers.getlist("Set-Cookie"))

    def test_in_the_address_of_the_sign_in_form(self, client, mika, elsewhere):
        answer = client.post(
            "/sign-in", query_string={"next": elsewhere}, data={"email": mika.email, "password": PASSWORD}
        )

        assert leads(answer) == "localhost"

    def test_of_the_sign_up_form(self, client, elsewhere):
        form = {"name": "Jun", "email": "jun@portico.example", "password": PASSWORD}

        assert leads(client.post("/sign-up", data=form | {"next": elsewhere})) == "localhost"

    def test_of_the_password_form(self, client, mika, elsewhere):
        client.post("/sign-in", data={"email": mika.email, "password": PASSWORD})
        for sent in ({"data": {"password": PASSWORD, "next": elsewhere}}, {"data": {"password": PASSWORD}}):
            answer = client.post("/verify", query_string={"next": elsewhere}, **sent)
            assert leads(answer) == "localhost"

    def test_of_somebody_who_is_signed_in_already(self, client, mika, elsewhere):
        client.post("/sign-in", data={"email": mika.email, "password": PASSWORD})

        for page in ("/sign-in", "/sign-up"):
            assert leads(client.get(page, query_string={"next": elsewhere})) == "localhost"
            assert leads(client.post(page, data={"next": elsewhere})) == "localhost"

    def test_of_signing_out(self, client, mika, elsewhere):
        assert leads(client.post("/sign-out", data={"next": elsewhere})) == "localhost"
        assert leads(client.post("/sign-out", query_string={"next": elsewhere})) == "localhost"


def test_a_page_of_the_portal_is_reached(client, mika):
    """What is refused above is not simply everything."""
    answer = client.post("/sign-in", data={"email": mika.email, "password": PASSWORD, "next": "/calls?status=5xx"})

    assert answer.location == "/calls?status=5xx"


@pytest.mark.parametrize("path", ["//evil.example/apis", "/\\evil.example", "/%2F/evil.example", "/%0d%0aX: y"])
def test_a_strange_path_leads_nowhere_else(client, path):
    assert leads(client.get(path)) == "localhost"
