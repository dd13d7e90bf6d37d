"""The REST API's own docs, in the pages that published APIs have."""

import re

from portal.rest.route import ROUTES
from tests.conftest import sign_in


def test_are_for_who_has_signed_in(client, cast):
    assert client.get("/rest-api").status_code == 303
    assert sign_in(client, cast.stranger).get("/rest-api").status_code == 200


def test_explain_how_to_ask(client, cast):
    page = sign_in(client, cast.stranger).get("/rest-api").text

    assert "PORTICO_TOKEN" in page
    assert "Idempotency-Key" in page
    assert "http://127.0.0.1:8000/api/v1" in page


def test_have_a_page_for_each_operation_and_for_what_those_refer_to(client, cast):
    sign_in(client, cast.stranger)
    linked = set()
    for route in ROUTES:
        answer = client.get(f"/rest-api/operations/{route.name}")
        assert answer.status_code == 200, route.name
        assert answer.text.count("<h1") == 1
        linked |= set(re.findall(r'href="(/rest-api/(?:schemas|parts)/[^"#?]+)', answer.text))
    assert [url for url in sorted(linked) if client.get(url).status_code != 200] == []


def test_are_found_from_the_tokens(client, cast):
    assert 'href="/rest-api"' in sign_in(client, cast.stranger).get("/settings/tokens").text


def test_the_address_alone_answers_with_the_document(client):
    assert client.get("/api/v1").json == client.get("/api/v1/openapi.json").json


def test_what_is_not_there_is_not_found(client, cast):
    sign_in(client, cast.stranger)
    for path in ("operations/nothing", "schemas/Nothing", "parts/nothing/at/all"):
        assert client.get(f"/rest-api/{path}").status_code == 404
