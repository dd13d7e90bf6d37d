import json

import pytest

from portal import openapi, registry
from portal.registry import descriptions
from portal.registry.operation_changes import MOST_COMPARED


@pytest.fixture
def keep(session):
    """Stores a document with these operations; its SHA-256."""

    def keep(*places: str, title: str = "Orders") -> str:
        paths: dict = {}
        for place in places:
            method, path = place.split(" ")
            paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {"description": "Fine."}}}
        document = {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": paths}
        data = json.dumps(document).encode()
        return descriptions.keep(session, data, openapi.read(data)).sha256

    return keep


def test_the_same_document_is_not_read(session):
    assert registry.operation_changes(session, "a" * 64, "a" * 64) is None
    assert registry.operation_changes(session, None, None) is None


def test_two_documents_are_compared_word_by_word(session, keep):
    found = registry.operation_changes(session, keep("GET /a", "GET /b"), keep("GET /a", "POST /c"))

    assert [change.path for change in found.changes.added] == ["/c"]
    assert [(change.path, change.breaking) for change in found.changes.removed] == [("/b", True)]


def test_words_alone_change_no_operation(session, keep):
    assert not registry.operation_changes(session, keep("GET /a"), keep("GET /a", title="Other")).changes


def test_of_large_ones_only_what_comes_and_goes(session, keep):
    many = [f"GET /{number}" for number in range(MOST_COMPARED // 2)]

    found = registry.operation_changes(session, keep("GET /old", *many), keep(*many, "GET /new"))

    assert (found.changes, found.added, found.removed, found.large) == (None, 1, 1, True)
    assert (found.added_first, found.removed_first) == (("GET /new",), ("GET /old",))


def test_a_first_document_brings_all_its_operations(session, keep):
    digest = keep(*(f"GET /{number}" for number in range(60)))

    found = registry.operation_changes(session, None, digest)

    assert (found.added, len(found.added_first), found.removed) == (60, 50, 0)
    assert registry.operation_changes(session, digest, None).removed == 60


def test_a_document_that_is_not_stored(session, keep):
    assert registry.operation_changes(session, keep("GET /a"), "f" * 64).missing
