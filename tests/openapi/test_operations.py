from typing import Any

import pytest

from portal.openapi import Operation
from portal.openapi.findings import Findings
from portal.openapi.operations import operations_of
from tests.openapi.given import OK, described, document, sentences


def operations(paths: Any, **parts: Any) -> tuple[Operation, ...]:
    return described(document(paths, **parts)).operations


def ids(*named: tuple[str, str, str | None]) -> list[str]:
    """Of operations given as (method, path, operationId)."""
    paths: dict[str, Any] = {}
    for method, path, id_ in named:
        paths.setdefault(path, {})[method] = OK | ({"operationId": id_} if id_ is not None else {})
    return [operation.id for operation in operations_of({"paths": paths}, Findings())]


class TestIds:
    def test_an_operation_id_that_is_alone_is_kept(self) -> None:
        assert ids(("get", "/pets", "listPets"), ("post", "/pets", "pets.add_1")) == ["listPets", "pets.add_1"]

    def test_an_operation_without_one_is_called_by_method_and_path(self) -> None:
        assert ids(("get", "/pets/{petId}/photos.json", None), ("get", "/", "")) == [
            "get-pets-petId-photos.json",
            "get-root",
        ]

    @pytest.mark.parametrize("id_", ["pets/list", "list pets", "größe", "..", ".hidden", "-dash", "x" * 64, "🐕"])
    def test_what_cannot_stand_in_an_address_is_replaced(self, id_: str) -> None:
        assert ids(("get", "/pets", id_)) == ["get-pets"]

    def test_of_equal_ones_none_is_kept(self) -> None:
        assert ids(("get", "/a", "list"), ("get", "/b", "List"), ("get", "/c", "other")) == ["get-a", "get-b", "other"]

    def test_made_ones_that_would_be_equal_are_told_apart_whatever_their_order(self) -> None:
        named = [("get", "/pets/{id}", None), ("get", "/pets/id", None), ("get", "/PETS/id", None), ("get", "/x", None)]

        forwards, backwards = ids(*named), ids(*reversed(named))

        assert len({id_.lower() for id_ in forwards}) == 4
        assert forwards == backwards[::-1]
        assert forwards[3] == "get-x"
        assert all(id_.startswith(("get-pets-id-", "get-PETS-id-")) for id_ in forwards[:3])

    def test_a_made_one_gives_way_to_one_that_is_given(self) -> None:
        made, given = ids(("get", "/pets", None), ("post", "/pets", "get-pets"))

        assert given == "get-pets"
        assert made.startswith("get-pets-")

    def test_long_ones_are_cut_and_told_apart(self) -> None:
        long = "/" + "segment/" * 20

        got = ids(("get", f"{long}a", None), ("get", f"{long}b", None))

        assert len(set(got)) == 2
        assert all(len(id_) <= 63 for id_ in got)

    def test_the_rest_of_a_document_does_not_matter(self) -> None:
        named = [("get", f"/p{n}", None) for n in range(50)]

        assert ids(*named)[7] == ids(named[7])[0]

    def test_they_are_warned_of_together(self) -> None:
        paths = {
            f"/p{n}": {"get": OK | {"operationId": f"p/{n}"}, "put": OK | {"operationId": "same"}} for n in range(9)
        }

        said = sentences(described(document(paths)))

        assert said["/paths/~1p0/get/operationId"].startswith("9 operationIds cannot stand in an address")
        assert "“same” is the id of 9 operations" in said["/paths/~1p0/put/operationId"]
        assert len(said) == 2


class TestPaths:
    def test_operations_stand_in_the_order_of_the_document(self) -> None:
        item = {"put": OK, "parameters": [], "get": OK, "x-note": {}, "summary": "Pets", "trace": OK}

        found = operations({"/b": item, "x-more": {"get": OK}, "/a": {"head": OK}})

        assert [(it.method, it.path) for it in found] == [("PUT", "/b"), ("GET", "/b"), ("TRACE", "/b"), ("HEAD", "/a")]
        assert found[0].pointer == "/paths/~1b/put"

    def test_what_an_operation_says_of_itself_is_read(self) -> None:
        says = {
            "summary": " See\npets ",
            "description": "All.",
            "tags": ["pets"],
            "deprecated": True,
            "operationId": "see",
        }

        (operation,) = operations({"/pets": {"get": OK | says}})

        assert operation == Operation(
            id="see",
            method="GET",
            path="/pets",
            summary="See pets",
            description="All.",
            tags=("pets",),
            deprecated=True,
            pointer="/paths/~1pets/get",
        )

    def test_methods_in_capitals_are_read_with_a_warning(self) -> None:
        description = described(document({"/pets": {"GET": OK, "Post": OK, "get": OK | {"operationId": "right"}}}))

        assert {(it.method, it.id) for it in description.operations} == {("GET", "right"), ("POST", "post-pets")}
        assert "stands here twice" in sentences(description)["/paths/~1pets/GET"]
        assert "written small" in sentences(description)["/paths/~1pets/Post"]

    def test_a_missing_slash_is_added_with_a_warning(self) -> None:
        description = described(document({"pets": {"get": OK}, "": {"get": OK}}))

        assert [it.path for it in description.operations] == ["/pets", "/"]
        assert description.operations[0].pointer == "/paths/pets/get"
        assert "begins with a slash" in sentences(description)["/paths/pets"]

    def test_of_paths_that_become_equal_the_first_is_read(self) -> None:
        description = described(document({"/pets": {"get": OK}, "pets": {"get": OK, "put": OK}}))

        assert [it.pointer for it in description.operations] == ["/paths/~1pets/get", "/paths/pets/put"]
        assert "stands here twice" in sentences(description)["/paths/pets/get"]

    def test_templates_that_match_the_same_calls_are_warned_of(self) -> None:
        description = described(document({"/pets/{id}": {"get": OK}, "/pets/{name}": {"get": OK, "put": OK}}))

        assert len(description.operations) == 3
        assert "the same calls as “/pets/{id}”" in sentences(description)["/paths/~1pets~1{name}/get"]

    def test_a_query_in_a_path_is_warned_of(self) -> None:
        assert "before ? or #" in sentences(described(document({"/pets?x=1": {"get": OK}})))["/paths/~1pets?x=1"]

    @pytest.mark.parametrize("item", [None, [], "pets", 1])
    def test_what_is_no_path_item_is_left_out_with_a_warning(self, item: Any) -> None:
        description = described(document({"/pets": item, "/cats": {"get": item, "put": OK}}))

        assert [it.method for it in description.operations] == ["PUT"]
        assert {"/paths/~1pets", "/paths/~1cats/get"} <= set(sentences(description))


class TestLaterVersions:
    def test_query_and_additional_operations_of_3_2_are_read(self) -> None:
        item = {"query": OK, "additionalOperations": {"COPY": OK, "not one": OK}}

        description = described(document({"/pets": item}, openapi="3.2.0"))

        assert [(it.method, it.pointer) for it in description.operations] == [
            ("QUERY", "/paths/~1pets/query"),
            ("COPY", "/paths/~1pets/additionalOperations/COPY"),
        ]
        assert "is no method" in sentences(description)["/paths/~1pets/additionalOperations/not one"]

    def test_path_items_elsewhere_in_the_document_are_read(self) -> None:
        shared = {"get": OK | {"operationId": "see"}, "put": OK}
        paths = {"/pets": {"$ref": "#/components/pathItems/Pets", "put": OK}, "/cats": {"$ref": "#/paths/~1pets"}}

        found = operations(paths, openapi="3.1.0", components={"pathItems": {"Pets": shared}})

        assert [(it.method, it.path, it.pointer) for it in found[:2]] == [
            ("PUT", "/pets", "/paths/~1pets/put"),
            ("GET", "/pets", "/components/pathItems/Pets/get"),
        ]
        assert len({it.id for it in found}) == len(found)

    @pytest.mark.parametrize("ref", ["#/paths/~1pets", "#/paths/~1none", "other.yaml#/pets", "#", "#anchor", ""])
    def test_path_items_that_lead_nowhere_have_no_operations(self, ref: str) -> None:
        assert operations({"/pets": {"$ref": ref}}, openapi="3.1.0") == ()


class TestServers:
    def test_servers_of_parts_are_warned_of_once(self) -> None:
        other = [{"url": "https://other.example.com"}]
        paths = {"/a": {"servers": other, "get": OK}, "/b": {"get": OK | {"servers": other}}}

        said = sentences(described(document(paths)))

        assert "one upstream" in said["/paths/~1b/get/servers"]
        assert len(said) == 1

    def test_servers_that_are_the_documents_own_are_not(self) -> None:
        usual = [{"url": "https://pets.example.com"}]

        assert described(document({"/a": {"servers": usual, "get": OK}}, servers=usual)).warnings == ()
