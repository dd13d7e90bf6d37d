"""The way of somebody who has not signed in, where the installation lets strangers read: from the catalogue to docs,
export and the door. Nothing on it tells of an API that is not public."""

import html
import json
import re
from dataclasses import replace

import pytest
import yaml

from portal import registry
from portal.registry.models import Visibility
from tests import factories
from tests.conftest import sign_in

PUBLIC = "/catalogue/cast/pets/v1"
HIDDEN = "/catalogue/cast/secret/v1"
BELOW = (
    "",
    "/operations",
    "/operations/show",
    "/schemas",
    "/schemas/Pet",
    "/openapi.json",
    "/openapi.yaml",
    "/subscribe",
)


@pytest.fixture
def stranger(client, session, cast):
    """Pets is for everybody; Secret is made of the same words, and for those who have signed in."""
    extensions = client.application.extensions
    extensions["portico"] = replace(extensions["portico"], public_catalogue=True)
    plan = factories.plan(session, team=cast.team, slug="gold", name="Gold")
    shelves = {name: registry.create_category(session, slug=name.lower(), name=name) for name in ("Shown", "Unseen")}
    for slug, name, visibility, shelf, tag in (
        ("pets", "Pets", Visibility.PUBLIC, "Shown", "animals"),
        ("secret", "Secret pets", Visibility.SIGNED_IN, "Unseen", "whispers"),
    ):
        data = factories.OPENAPI.replace(b"title: Pets", f"title: {name}".encode())
        digest = factories.openapi_document(session, data)
        api = factories.api(
            session, team=cast.team, live=True, slug=slug, name=name, openapi=digest, plans=[plan], tags=[tag]
        )
        registry.set_visibility(session, api, visibility)
        registry.set_category(session, api, shelves[shelf])
    session.commit()
    return client


def links_of(page: str) -> set[str]:
    return {html.unescape(link).partition("#")[0] for link in re.findall(r'(?:href|action|hx-get)="(/[^"]*)"', page)}


def test_leads_from_the_catalogue_over_the_docs_to_the_door(stranger, session, cast):
    listed = stranger.get("/catalogue").text
    found = stranger.get("/catalogue?q=pet", headers={"HX-Request": "true"}).text
    for page in (listed, found):
        assert f'href="{PUBLIC}"' in page

    overview = stranger.get(PUBLIC).text
    operation = stranger.get(f"{PUBLIC}/operations/show").text
    assert f'href="{PUBLIC}/operations/show"' in overview
    assert "X-API-Key" in operation
    assert "integer" in stranger.get(f"{PUBLIC}/schemas/Pet").text
    as_json = json.loads(stranger.get(f"{PUBLIC}/openapi.json").text)
    assert as_json["info"]["title"] == "Pets"
    assert yaml.safe_load(stranger.get(f"{PUBLIC}/openapi.yaml").text) == as_json

    assert f'href="{PUBLIC}/subscribe"' in overview
    door = stranger.get(f"{PUBLIC}/subscribe")
    assert door.status_code == 303
    asked = stranger.get(door.headers["Location"])
    assert asked.status_code == 200
    person = factories.person(session, password="one that nobody else has seen")
    session.commit()
    answer = stranger.post(
        door.headers["Location"], data={"email": person.email, "password": "one that nobody else has seen"}
    )
    assert answer.headers["Location"].endswith(f"{PUBLIC}/subscribe")
    assert stranger.get(answer.headers["Location"]).status_code in (200, 303)


def test_every_link_of_it_answers_and_none_tells_of_what_is_hidden(stranger):
    ahead, seen = ["/catalogue"], {}
    while ahead:
        link = ahead.pop()
        seen[link] = answer = stranger.get(link)
        links = {each for each in links_of(answer.text) if each.startswith("/catalogue")}
        ahead += sorted(links - seen.keys() - set(ahead))
        assert len(seen) < 300

    assert {f"{PUBLIC}{below}" for below in BELOW} <= seen.keys()
    for link, answer in seen.items():
        assert answer.status_code in (200, 303), link
        for word in ("Secret", "secret", "Unseen", "whispers"):
            assert word not in answer.text, link


def test_what_is_hidden_does_not_exist(stranger, cast):
    for below in BELOW[:-1]:
        assert stranger.get(f"{HIDDEN}{below}").status_code == 404, below
        assert stranger.get(f"/apis/cast/pets/v1/preview{below}").status_code in (303, 404), below
    for asked in ("q=secret", "q=whispers", "tag=whispers", "category=unseen"):
        for how in ({}, {"HX-Request": "true"}):
            page = stranger.get(f"/catalogue?{asked}", headers=how).text
            assert HIDDEN not in page
            assert "Secret pets" not in page
    sign_in(stranger, cast.stranger)
    assert stranger.get(HIDDEN).status_code == 200
