"""The part of a document that says how callers authenticate."""

import pytest

from portal.errors import Invalid
from portal.registry import read_document
from portal.registry.document import Authentication
from tests import factories

PLAIN = {"name": "Orders", "path": "/orders/v1", "upstream": {"targets": [{"url": "http://orders.example"}]}}


def read(**authentication: object) -> Authentication:
    return read_document(PLAIN | {"authentication": authentication}, typed=True).authentication


def wrong(**authentication: object) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read(**authentication)
    return refused.value.fields


def test_a_key_is_usual():
    assert read() == read_document(PLAIN).authentication == Authentication(key=True, basic=False)


def test_what_is_stored_stays_equal_to_what_leaves_the_usual_out():
    usual = read_document(PLAIN)

    assert "authentication" not in usual.as_json()
    assert read_document(PLAIN | {"authentication": {"key": True}}).as_json() == usual.as_json()


@pytest.mark.parametrize(
    "written",
    [
        {"key": True, "basic": True},
        {"key": False, "basic": True},
        {"key": False, "basic": False, "public": {"plan": "x"}},
    ],
)
def test_other_ways_are_stored_and_read_again(written):
    document = factories.document(path="/a", authentication=written)

    assert document.as_json()["authentication"] == written
    assert read_document(document.as_json()) == document


def test_public_asks_for_no_key_without_saying_so():
    assert read(public={"plan": "free"}).key is False


@pytest.mark.parametrize("way", ["key", "basic"])
def test_public_stands_alone(way):
    assert "asks nobody who they are" in wrong(**{"public": {"plan": "free"}, way: True})["authentication"]


def test_one_way_there_must_be():
    assert "at least one way" in wrong(key=False)["authentication"]


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"public": {}}, "authentication.public.plan", "This is needed."),
        ({"public": {"plan": ""}}, "authentication.public.plan", "Choose the plan"),
        ({"public": {"plan": "Free of charge"}}, "authentication.public.plan", "slug of a plan"),
        ({"public": {"plan": "a" * 64}}, "authentication.public.plan", "At most 63"),
        ({"public": "free"}, "authentication.public", "Give fields with their values."),
        ({"basic": "perhaps"}, "authentication.basic", "Give true or false."),
        ({"oauth": True}, "authentication.oauth", "This field does not exist."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(given, field, sentence):
    assert sentence in wrong(**given)[field]
