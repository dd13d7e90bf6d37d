import pytest

from portal.openapi.references import closure, follow, looking, name_of, operation_at, references_in, resolve
from tests.openapi.documents import document

REF = {"$ref": "#/components/schemas/Pet"}


class TestResolve:
    @pytest.mark.parametrize(
        ("pointer", "part"),
        [
            ("", {"a/b": [10, {"~": 1}], "c d": 2, "e%f": 3, "": 4}),
            ("/a~1b/0", 10),
            ("/a~1b/1/~0", 1),
            ("/c%20d", 2),
            ("/c d", 2),
            ("/e%f", 3),
            ("/e%25f", 3),
            ("/", 4),
        ],
    )
    def test_pointers_are_read_as_rfc_6901_has_them_encoded_or_not(self, pointer, part):
        assert resolve({"a/b": [10, {"~": 1}], "c d": 2, "e%f": 3, "": 4}, pointer) == part

    @pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-1", "/a/x", "a", "/a/0/0"])
    def test_a_pointer_to_nothing_is_an_error(self, pointer):
        with pytest.raises(LookupError):
            resolve({"a": [1, 2]}, pointer)

    def test_anchors_are_found_wherever_they_stand(self):
        schema = {"$anchor": "pet", "type": "object"}

        assert resolve(document(components={"schemas": {"Pet": schema}}), "#pet") == schema

    def test_an_anchor_that_is_the_name_of_a_property_is_none(self):
        with pytest.raises(LookupError):
            resolve({"properties": {"$anchor": "pet"}}, "#pet")


class TestFollow:
    def test_what_is_no_reference_stays(self):
        assert follow({"type": "string"}, {}.__getitem__) == ({"type": "string"}, "")

    def test_a_chain_ends_with_the_last_name(self):
        look = {"/a": {"$ref": "#/b"}, "/b": {"type": "string"}}.__getitem__

        assert follow({"$ref": "#/a"}, look) == ({"type": "string"}, "/b")

    @pytest.mark.parametrize("ref", ["#/a", "#/gone", "other.yaml#/a", "http://127.0.0.1/secret"])
    def test_circles_dangling_and_remote_references_end(self, ref):
        value, name = follow({"$ref": ref}, {"/a": {"$ref": "#/b"}, "/b": {"$ref": "#/a"}}.__getitem__)

        assert value == {}
        assert name

    def test_a_look_that_gives_none_has_nothing(self):
        assert follow(REF, {}.get)[0] == {}

    def test_what_stands_beside_a_reference_is_laid_over_it(self):
        pet = {"type": "object", "description": "A pet", "properties": {"name": {}}, "required": ["name"]}
        value, _ = follow(
            REF | {"description": "Mine", "properties": {"age": {}}, "required": ["age"]},
            {"/components/schemas/Pet": pet}.__getitem__,
        )

        assert value == {
            "type": "object",
            "description": "Mine",
            "properties": {"name": {}, "age": {}},
            "required": ["name", "age"],
        }

    def test_a_dynamic_reference_is_followed_like_another(self):
        tree = {"$defs": {"node": {"$dynamicAnchor": "node", "type": "array"}}}

        assert follow({"$dynamicRef": "#node"}, looking(tree))[0]["type"] == "array"


class TestClosure:
    def test_everything_reached_is_there_and_nothing_else(self):
        tree = document(
            {
                "/pets": {
                    "parameters": [{"$ref": "#/components/parameters/Limit"}],
                    "get": {"responses": {"default": {"$ref": "#/components/responses/Pets"}}},
                }
            },
            components={
                "parameters": {"Limit": {"name": "limit", "in": "query"}, "Other": {}},
                "responses": {"Pets": {"content": {"application/json": {"schema": REF}}}},
                "schemas": {"Pet": {"properties": {"owner": {"$ref": "#/components/schemas/Person"}}}, "Person": REF},
            },
        )

        assert set(closure(tree, "/paths/~1pets/get")) == {
            "/components/parameters/Limit",
            "/components/responses/Pets",
            "/components/schemas/Pet",
            "/components/schemas/Person",
        }

    def test_what_a_discriminator_maps_to_is_reached(self):
        mapping = {"cat": "#/components/schemas/Cat", "dog": "Dog"}
        part = {"discriminator": {"propertyName": "kind", "mapping": mapping}}

        assert list(references_in(part)) == ["/components/schemas/Cat", "/components/schemas/Dog"]

    def test_a_reference_in_an_example_is_data(self):
        part = {"example": REF, "default": REF, "enum": [REF], "examples": {"default": REF}, "x-more": REF}

        assert list(references_in(part)) == ["/components/schemas/Pet"]

    def test_properties_may_be_called_like_keywords(self):
        part = {"properties": {"example": REF, "$ref": {"type": "string"}, "properties": {"properties": {"a": REF}}}}

        assert list(references_in(part)) == ["/components/schemas/Pet"] * 2

    def test_deep_nesting_is_no_recursion(self):
        part = REF
        for _ in range(50_000):
            part = {"items": part}

        assert list(references_in(part)) == ["/components/schemas/Pet"]
        while "items" in part:
            # Otherwise the interpreter takes it apart by recursion.
            part = part["items"]


class TestOperationAt:
    def test_the_path_items_parameters_are_shared_unless_the_operation_has_its_own(self):
        shared = [{"name": "id", "in": "path"}, {"name": "limit", "in": "query", "description": "shared"}]
        own = {"name": "limit", "in": "query", "description": "own"}
        tree = document({"/a/{id}": {"parameters": shared, "get": {"parameters": [own]}}}, security=[{"key": []}])

        operation = operation_at(tree, "/paths/~1a~1{id}/get")

        assert operation == {"parameters": [shared[0], own], "security": [{"key": []}]}


def test_names_are_read_off_the_end_of_a_pointer():
    assert name_of("/components/schemas/a~1b%20c") == "a/b c"
    assert name_of("#pet") == "pet"
