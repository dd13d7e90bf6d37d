import copy
import json
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from portal.openapi import KeyScheme
from portal.openapi.export import as_json, as_yaml, exported
from tests.openapi.documents import SPECS, document, tree_of

SERVER = "https://gateway.example.com/pets/v1"
HEADER = KeyScheme("header", "X-API-Key")


def export(tree, *, key=HEADER, **fields):
    said = {"title": "Pets", "version": "v1", "description": "All pets.", "server": SERVER} | fields
    made = exported(tree, **said, key=key)
    validate(made)
    return made


def with_schema(schema, openapi="3.1.0", **schemas):
    content = {"application/json": {"schema": schema}}
    paths = {"/pets": {"post": {"requestBody": {"content": content}, "responses": {"200": {"description": "Fine"}}}}}
    return document(paths, openapi=openapi, components={"schemas": schemas})


def schema_of(made):
    return made["paths"]["/pets"]["post"]["requestBody"]["content"]["application/json"]["schema"]


class TestRealDocuments:
    @pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
    def test_each_is_accepted_and_keeps_its_operations(self, path):
        tree = tree_of(path)

        made = export(tree)

        assert list(made["paths"]) == [path for path in tree["paths"] if not path.startswith("x-")]
        assert made["servers"] == [{"url": SERVER}]
        assert json.loads(as_json(made)) == made
        assert yaml.load(as_yaml(made), yaml.CSafeLoader) == made


class TestWhatThePortalKnows:
    def test_title_address_and_key_are_the_gateways(self):
        tree = document(
            {
                "/pets": {
                    "get": {"responses": {}, "security": [{"theirs": []}], "servers": [{"url": "https://internal"}]}
                }
            },
            servers=[{"url": "https://internal"}],
            security=[{"theirs": []}],
            components={"securitySchemes": {"theirs": {"type": "http", "scheme": "basic"}}},
        )

        made = export(tree)

        assert made["info"] == {"title": "Pets", "version": "v1", "description": "All pets."}
        assert made["security"] == [{"gatewayKey": []}]
        assert made["components"]["securitySchemes"]["gatewayKey"]["name"] == "X-API-Key"
        assert "internal" not in as_json(made)
        assert "theirs" not in as_json(made)

    @pytest.mark.parametrize(
        ("key", "scheme"),
        [
            (KeyScheme("bearer", "Authorization"), {"type": "http", "scheme": "bearer"}),
            (KeyScheme("query", "api_key"), {"type": "apiKey", "in": "query", "name": "api_key"}),
        ],
    )
    def test_the_key_is_where_the_api_wants_it(self, key, scheme):
        made = export(None, key=key)["components"]["securitySchemes"]["gatewayKey"]

        assert {name: made[name] for name in scheme} == scheme

    def test_user_name_and_password_stand_beside_it_or_alone(self):
        either = export(None, or_basic=True)
        alone = export(None, key=KeyScheme("basic", "Authorization"))

        assert either["security"] == [{"gatewayKey": []}, {"gatewayPassword": []}]
        assert alone["security"] == [{"gatewayPassword": []}]
        (scheme,) = alone["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "basic")

    def test_without_a_key_nothing_is_asked_for(self):
        made = export(document({"/pets": {"get": {}}}), key=None)

        assert "security" not in made
        assert "components" not in made

    def test_a_parameter_that_is_the_key_is_no_parameter(self):
        parameters = [
            {"name": "x-api-key", "in": "header", "schema": {}},
            {"name": "page", "in": "query", "schema": {}},
        ]

        made = export(document({"/pets": {"get": {"parameters": parameters}}}))

        assert [it["name"] for it in made["paths"]["/pets"]["get"]["parameters"]] == ["page"]

    def test_a_deprecated_api_has_deprecated_operations(self):
        assert export(document({"/pets": {"get": {}}}), deprecated=True)["paths"]["/pets"]["get"]["deprecated"] is True
        assert export(None, deprecated=True)["paths"]["/{path}"]["get"]["deprecated"] is True

    def test_extensions_are_kept(self):
        tree = document(
            {"/pets": {"x-here": 1, "get": {"x-there": {"$ref": "#/gone"}}}}, **{"x-logo": {"url": "a.png"}}
        )

        made = export(tree)

        assert made["x-logo"] == {"url": "a.png"}
        assert made["paths"]["/pets"]["x-here"] == 1
        assert made["paths"]["/pets"]["get"]["x-there"] == {"$ref": "#/gone"}

    def test_an_api_without_a_document_says_so_in_words(self):
        made = export(None)

        assert "no description of its operations" in made["paths"]["/{path}"]["post"]["description"]

    def test_texts_of_several_lines_are_lines_in_yaml(self):
        made = export(None, description="# Pets\n\nAll of them.")

        assert "  description: |-\n    # Pets\n\n    All of them.\n" in as_yaml(made)


class TestReferences:
    def test_those_that_lead_nowhere_say_nothing(self):
        tree = with_schema({"properties": {"a": {"$ref": "#/gone"}, "b": {"$ref": "http://127.0.0.1/x"}}})

        assert schema_of(export(tree)) == {"properties": {"a": {}, "b": {}}}

    def test_parts_that_stand_elsewhere_move_into_the_components(self):
        tree = with_schema({"$ref": "#/definitions/Pet%20Shop"}) | {"definitions": {"Pet Shop": {"type": "string"}}}

        made = export(tree)

        assert schema_of(made) == {"$ref": "#/components/schemas/Pet_Shop"}
        assert made["components"]["schemas"] == {"Pet_Shop": {"type": "string"}}

    def test_names_that_are_none_are_changed_wherever_they_are_used(self):
        tree = with_schema(
            {"items": {"$ref": "#/components/schemas/a~1b<c>"}}, **{"a/b<c>": {"type": "string"}, "a_b_c": {}}
        )

        made = export(tree)

        assert schema_of(made) == {"items": {"$ref": "#/components/schemas/a_b_c"}}
        assert made["components"]["schemas"] == {"a_b_c": {"type": "string"}, "a_b_c_2": {}}

    def test_circles_of_references_alone_say_nothing(self):
        ring = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}

        made = export(with_schema({"$ref": "#/components/schemas/A"}, **ring))

        assert schema_of(made) == {}

    @pytest.mark.parametrize("openapi", ["3.0.0", "3.1.0"])
    def test_a_base_that_chooses_among_what_is_built_upon_it_is_parted_from_its_choice(self, openapi):
        pet, cat = {"$ref": "#/components/schemas/Pet"}, {"$ref": "#/components/schemas/Cat"}
        schemas = {
            "Pet": {"oneOf": [cat], "properties": {"kind": {}}, "discriminator": {"propertyName": "kind"}},
            "Cat": {"allOf": [pet, {"properties": {"lives": {}}}], "required": ["kind"]},
        }

        made = export(with_schema(pet, openapi, **schemas))["components"]["schemas"]

        assert made["Pet"]["oneOf"] == [cat]
        assert made["Cat"]["allOf"][0] == {"$ref": "#/components/schemas/Pet_alone"}
        assert made["Pet_alone"] == {"properties": {"kind": {}}}

    def test_other_circles_of_bases_are_cut(self):
        node = {"allOf": [{"type": "array", "items": {"$ref": "#/components/schemas/Node"}}]}

        assert export(with_schema({"$ref": "#/components/schemas/Node"}, Node=node))


class TestRepair:
    def test_paths_declare_their_parameters(self):
        parameters = [
            {"name": "id", "in": "path", "schema": {"type": "integer"}},
            {"name": "other", "in": "path", "schema": {}},
            {"name": "id", "in": "path", "schema": {}},
            {"name": "body", "in": "body", "schema": {}},
            {"in": "query"},
            "nonsense",
        ]

        made = export(document({"pets/{id}/{toy}": {"parameters": parameters, "get": {}}, "/{a{b}": {"get": {}}}))

        item = made["paths"]["/pets/{id}/{toy}"]
        assert item["parameters"] == [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]
        assert [it["name"] for it in item["get"]["parameters"]] == ["toy"]
        assert "/%7Ba%7Bb%7D" in made["paths"]

    def test_operation_ids_are_told_apart(self):
        paths = {f"/{n}": {"get": {"operationId": "list"}} for n in range(3)}

        made = export(document(paths))

        assert [it["get"]["operationId"] for it in made["paths"].values()] == ["list", "list_2", "list_3"]

    @pytest.mark.parametrize("openapi", ["3.0.3", "3.1.0", "3.2.0"])
    @pytest.mark.parametrize(
        "operation",
        [
            {},
            {"responses": None},
            {"responses": {"200": {}, "2xx": {"description": "x"}, "banana": {}, "default": "text"}},
            {"responses": {"200": {"$ref": "#/gone"}}},
            {
                "responses": {
                    "200": {
                        "content": {
                            "json": {},
                            "application/json": {"schema": None, "example": 1, "examples": {"a": {}}},
                        }
                    }
                }
            },
            {"responses": {"200": {"headers": {"X": {"type": "string"}, "Y": {"style": "form", "schema": {}}}}}},
            {"responses": {"200": {"links": {"a": {}, "b": {"operationId": "x", "operationRef": "y", "server": {}}}}}},
            {"requestBody": {}, "tags": ["a", 3, None], "deprecated": "yes", "summary": 4, "unknown": True},
            {"requestBody": {"content": {"multipart/form-data": {"encoding": {"a": {"style": "x", "explode": 1}}}}}},
            {"callbacks": {"done": {"{$request.body#/url}": {"post": {"operationId": "cb"}}}, "none": {}}},
            {"externalDocs": {"url": "not an address"}, "servers": "text", "security": "text"},
            {"parameters": [{"name": "a", "in": "query", "content": {"a/b": {}, "c/d": {}}, "style": "form"}]},
            {"parameters": [{"name": "a", "in": "header", "style": "deepObject", "allowReserved": True}]},
            {"parameters": [{"name": "a", "in": "query", "type": "string", "default": 1}]},
            {"parameters": {"$ref": "#/components/parameters/x"}},
        ],
    )
    def test_dirty_operations_are_mended(self, openapi, operation):
        assert export(document({"/pets": {"post": operation}}, openapi=openapi))["paths"]["/pets"]["post"]["responses"]

    @pytest.mark.parametrize("openapi", ["3.0.3", "3.1.0", "3.2.0"])
    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "text", "required": True, "enum": [], "items": "x", "properties": []},
            {"type": "file"},
            {"type": ["string", "null"], "const": "a", "examples": ["a"]},
            {"type": "string", "nullable": True, "minLength": "3", "maxLength": -1, "pattern": "(?<bad"},
            {"type": "string", "format": "date", "default": "today"},
            {"type": "integer", "default": "10", "minimum": "0", "exclusiveMinimum": 3},
            {"type": "integer", "exclusiveMaximum": True, "maximum": 4, "multipleOf": 0},
            {"type": "string", "enum": ["a", "a", 1, 1.0, True, None], "default": "b"},
            {"type": "object", "required": ["a", "a", 3], "allOf": [{"properties": {"b": {}}}]},
            {"allOf": "x", "oneOf": [], "anyOf": [3, None, {"$ref": 4}], "not": []},
            {"allOf": [{"$ref": "#/components/schemas/Pet"}], "default": {"name": 3}},
            {"$ref": "#/components/schemas/Pet", "description": "beside", "default": 1, "nullable": True},
            {"discriminator": "kind", "xml": [], "externalDocs": {}, "example": {"a": float("inf")}},
            {"discriminator": {"propertyName": "kind", "mapping": {"a": "#/gone", "b": "Pet", "c": 3}}},
            {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "$anchor": "!", "definitions": {"a": 1}},
            {"items": [{"type": "string"}], "additionalItems": False, "additionalProperties": "yes"},
            {
                "patternProperties": {"(": {}},
                "dependentRequired": {"a": "b"},
                "if": 3,
                "$defs": {"a": 1},
                "contains": 2,
            },
            True,
            False,
            None,
            [],
            "string",
        ],
        ids=repr,
    )
    def test_dirty_schemas_are_mended(self, openapi, schema):
        pet = {"type": "object", "properties": {"name": {"type": "string"}}}

        export(with_schema(schema, openapi, Pet=pet, Other=schema))

    @pytest.mark.parametrize(
        "fields",
        [
            {"info": None},
            {"info": {"title": 3, "contact": {"email": "nobody", "url": ":"}, "license": {"url": "x"}, "more": 1}},
            {"tags": [{"name": "a"}, {"name": "a"}, {}, "b"]},
            {"tags": [{"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}, {"name": "c", "parent": "z"}]},
            {"components": {"parameters": {"x": {"name": "", "in": "path", "required": True, "schema": {}}}}},
            {"components": {"parameters": {"x": {"name": 1}}, "schemas": {"x y": 3}, "responses": None, "what": {}}},
            {"components": []},
            {"externalDocs": "https://example.com"},
            {"webhooks": {"new": {"post": {"requestBody": {"content": {"application/json": {}}}}}}},
            {"paths": None},
            {"servers": 3, "unknown": 4},
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("openapi", ["3.0.0-rc2", "3.1.7", "3.2.0", "9"])
    def test_dirty_documents_are_mended(self, openapi, fields):
        export(document({"/pets": {"get": {}}}, openapi=openapi) | fields)

    def test_defaults_that_fit_are_kept(self):
        schema = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Size", "default": "large"}}}

        made = export(with_schema(schema, Size={"type": "string", "enum": ["small", "large"], "default": "medium"}))

        assert schema_of(made)["properties"]["a"]["default"] == "large"
        assert "default" not in made["components"]["schemas"]["Size"]

    def test_what_only_3_2_has_is_kept_there(self):
        tree = document({"/pets": {"query": {}, "additionalOperations": {"COPY": {}, "GET": {}}}}, openapi="3.2.0")

        item = export(tree)["paths"]["/pets"]

        assert sorted(item) == ["additionalOperations", "query"]
        assert list(item["additionalOperations"]) == ["COPY"]


JUNK = [
    *(None, True, 0, -1, 3.5, "", "text", [], {}, [1], ["a", "a"], [None], {"a": 1}, "http://127.0.0.1/x", "default"),
    *({"$ref": "#/gone"}, {"$ref": "#"}, {"$ref": 3}, {"": {}}, {"type": ["string", "null"]}, {"items": {"$ref": "#"}}),
]
SMALL = [path for path in SPECS if path.stat().st_size < 50_000]


def places(tree):
    ahead, found = [tree], []
    while ahead:
        node = ahead.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        found += [(node, key) for key in keys]
        ahead += [node[key] for key in keys if isinstance(node[key], dict | list)]
    return found


def spoilt(tree, chance):
    """`tree` with some of its parts replaced by nonsense, by others of its parts or by references to them."""
    names = list(tree.get("components", {}).get("schemas", ())) or ["x"]
    for _ in range(chance.choice([1, 5, 30])):
        node, key = chance.choice(places(tree["paths"]) + places(tree.get("components", {})))
        other, at = chance.choice(places(tree))
        reference = {"$ref": f"#/components/schemas/{chance.choice(names)}"}
        node[key] = copy.deepcopy(chance.choice([*JUNK, reference, reference, reference, other[at], other[at]]))
        if not places(tree["paths"]):
            break
    return tree


class TestCallbacks:
    @pytest.mark.parametrize(
        "back",
        [{"$ref": "#/paths/~1pets"}, {"post": {"$ref": "#/paths/~1pets/post"}}],
        ids=["path item", "operation"],
    )
    def test_one_that_calls_itself_back_ends(self, back):
        operation = {"operationId": "a", "callbacks": {"again": {"{$request.query.url}": back}}, "responses": {}}

        made = export(document({"/pets": {"post": operation}}))["paths"]["/pets"]["post"]

        (called,) = made["callbacks"]["again"].values()
        assert called["post"]["callbacks"]["again"] == {"{$request.query.url}": {}}


class TestReferencesThatLeadNowhere:
    def test_an_operation_that_is_none_answers(self):
        tree = document({"/pets": {"get": {"$ref": "#/tags"}}}, tags=[])

        assert export(tree)["paths"]["/pets"]["get"] == {"responses": {"default": {"description": "An answer."}}}

    @pytest.mark.parametrize("beside", [{}, {"description": "Gone"}], ids=["alone", "with words beside"])
    def test_a_response_that_leads_nowhere_is_left_out_where_it_is_used(self, beside):
        gone = {"$ref": "#/components/responses/Nobody", **beside}
        used = {"200": {"$ref": "#/components/responses/Gone"}, "404": {"$ref": "#/components/responses/Round"}}
        round_ = {"$ref": "#/components/responses/Round"}
        tree = document(
            {"/pets": {"get": {"responses": used}}}, components={"responses": {"Gone": gone, "Round": round_}}
        )

        made = export(tree)

        assert "responses" not in made["components"]
        assert made["paths"]["/pets"]["get"]["responses"] == {"default": {"description": "An answer."}}


class TestSpoiltDocuments:
    @staticmethod
    def _is_mended(path, seed):
        chance = random.Random(seed)
        tree = {**tree_of(path), "openapi": chance.choice(["3.0.0", "3.1.0", "3.2.0"])}

        export(spoilt(tree, chance))

    @given(path=st.sampled_from(SMALL), seed=st.integers(0, 2**32))
    @settings(max_examples=30)
    def test_some_are_mended(self, path, seed):
        self._is_mended(path, seed)

    @pytest.mark.slow
    @given(path=st.sampled_from(SMALL), seed=st.integers(0, 2**32))
    @settings(max_examples=1_500)
    def test_many_are_mended(self, path, seed):
        self._is_mended(path, seed)
