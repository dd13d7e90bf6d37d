"""What callers notice."""

import pytest

from portal.registry import effects
from tests import factories

BASE = {"name": "Orders", "path": "/orders/v1"}


def said(before: dict, after: dict) -> list[tuple[str, bool]]:
    found = effects(factories.document(**BASE | before), factories.document(**BASE | after))
    return [(each.sentence, each.breaking) for each in found]


def test_before_the_first_release_nobody_notices_anything():
    assert effects(None, factories.document()) == []


def test_words_are_no_news():
    assert said({}, {"name": "Other", "description": "More.", "tags": ["money"]}) == []


@pytest.mark.parametrize(
    ("before", "after", "sentence", "breaking"),
    [
        ({}, {"path": "/orders/v2"}, "The path becomes /orders/v2. Calls to /orders/v1 get 404 no_such_api.", True),
        ({}, {"host": "o.example"}, "It is served at the host o.example too.", False),
        (
            {"host": "o.example"},
            {},
            "It is served at the host o.example no more: such calls get 404 no_such_api.",
            True,
        ),
        (
            {},
            {"key": {"place": "bearer"}},
            "The key is expected in the header Authorization as a bearer token. Calls that bring it in the header "
            "X-API-Key get 401 key_missing.",
            True,
        ),
        (
            {"key": {"place": "query", "name": "key"}},
            {"key": {"place": "query", "name": "Key"}},
            "The key is expected in the query parameter Key. Calls that bring it in the query parameter key get 401 "
            "key_missing.",
            True,
        ),
        (
            {"authentication": {"basic": True}},
            {},
            "User names and passwords are taken no more. Calls that bring nothing else get 401 key_missing.",
            True,
        ),
        ({}, {"authentication": {"basic": True}}, "User names and passwords are taken too.", False),
        (
            {},
            {"authentication": {"public": {"plan": "free"}}},
            "Everybody may call without a key, under the plan free. What callers show is taken off and counts for "
            "nothing: upstreams see one consumer for all of them.",
            False,
        ),
        (
            {"authentication": {"public": {"plan": "free"}}},
            {"authentication": {"public": {"plan": "more"}}},
            "Calls are held to the plan more instead of free.",
            False,
        ),
        (
            {"authentication": {"public": {"plan": "free"}}},
            {},
            "Calls need a subscription and a credential. Those without one get 401 key_missing.",
            True,
        ),
        (
            {},
            {"body_limit_bytes": 1_000_000},
            "Bodies of more than 1 MB get 413 too_large; it was 10 MB.",
            True,
        ),
        ({}, {"body_limit_bytes": 20_000_000}, "Bodies may have 20 MB instead of 10 MB.", False),
        (
            {},
            {"upstream": {"targets": [{"url": "http://o.example"}], "first_byte_timeout_ms": 500}},
            "Answers must begin within 0.5 s instead of 30 s, or calls get 504 upstream_timeout.",
            True,
        ),
    ],
)
def test_what_is(before, after, sentence, breaking):
    assert said(before, after) == [(sentence, breaking)]


def test_the_case_of_a_header_is_no_news():
    assert said({"key": {"name": "X-Api-Key"}}, {"key": {"name": "x-api-key"}}) == []


def test_what_breaks_callers_comes_first():
    found = said({}, {"host": "o.example", "key": {"place": "bearer"}})

    assert [breaking for _, breaking in found] == [True, False]


def test_where_the_key_goes_is_no_news_where_none_is_taken():
    only_basic = {"authentication": {"key": False, "basic": True}}

    assert said(only_basic, only_basic | {"key": {"place": "bearer"}}) == []
    assert [sentence for sentence, _ in said({}, only_basic)] == [
        "Keys are taken no more. Calls that bring nothing else get 401 key_missing.",
        "User names and passwords are taken too.",
    ]
