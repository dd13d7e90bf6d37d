import pytest

from portal.openapi.bodies import as_xml, body_text, in_path, query_pairs, simple
from portal.openapi.references import looking
from portal.openapi.samples import MOST_VALUES, sample, sample_of_media, sample_of_parameter
from tests.openapi.documents import SPECS, looking_at, tree_of

NOWHERE = looking_at()


def sent(schema, look=NOWHERE):
    return sample(schema, look, sending=True)


class TestSample:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"type": "string", "example": "a", "default": "b", "enum": ["c"]}, "a"),
            ({"type": "string", "examples": ["a"], "default": "b"}, "a"),
            ({"type": "string", "default": "b", "enum": ["c"]}, "b"),
            ({"const": 4, "enum": ["c"]}, 4),
            ({"enum": [None, "c"]}, "c"),
            ({"type": "string"}, "string"),
            ({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00Z"),
            ({"type": "string", "format": "uuid"}, "3f0b8c1e-5d2a-4c6b-9e7f-1a2b3c4d5e6f"),
            ({"type": "string", "minLength": 8}, "stringst"),
            ({"type": "string", "maxLength": 3}, "str"),
            ({"type": "string", "pattern": "^[A-Z]{3}-\\d{2,4}$"}, "AAA-00"),
            ({"type": "string", "pattern": "^(a|b)$"}, "string"),
            ({"type": "integer"}, 0),
            ({"type": "integer", "minimum": 3}, 3),
            ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4),
            ({"type": "integer", "exclusiveMinimum": 3}, 4),
            ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
            ({"type": "number", "maximum": -2}, -2),
            ({"type": ["null", "integer"]}, 0),
            ({"type": "boolean"}, True),
            ({"type": "null"}, None),
            ({}, None),
            (True, None),
            ({"type": "array", "items": {"type": "integer"}}, [0]),
            ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [0, 0, 0]),
            ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
            ({"prefixItems": [{"type": "integer"}, {"type": "string"}]}, [0, "string"]),
            ({"properties": {"a": {"type": "integer"}}}, {"a": 0}),
            ({"type": "object", "additionalProperties": {"type": "integer"}}, {"property1": 0}),
            (
                {"additionalProperties": {"type": "string"}, "minProperties": 2},
                {"property1": "string", "property2": "string"},
            ),
            ({"oneOf": [{"type": "null"}, {"type": "integer"}, {"type": "string"}]}, 0),
            (
                {"anyOf": [{"properties": {"b": {"type": "integer"}}}], "properties": {"a": {"const": 1}}},
                {"b": 0, "a": 1},
            ),
            (
                {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
                {"a": 1, "b": 2},
            ),
        ],
    )
    def test_rules(self, schema, value):
        assert sent(schema) == value

    def test_what_is_read_only_is_not_sent_and_what_is_write_only_not_received(self):
        schema = {
            "properties": {
                "id": {"type": "integer", "readOnly": True},
                "password": {"type": "string", "writeOnly": True},
                "name": {"type": "string"},
            }
        }

        assert sample(schema, NOWHERE, sending=True) == {"password": "string", "name": "string"}
        assert sample(schema, NOWHERE, sending=False) == {"id": 0, "name": "string"}

    def test_a_schema_that_stands_within_itself_is_left_out_there(self):
        pet = {
            "properties": {
                "name": {"const": "Rex"},
                "parents": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
            }
        }
        pet["properties"]["owner"] = {"properties": {"pet": {"$ref": "#/components/schemas/Pet"}}}

        assert sent({"$ref": "#/components/schemas/Pet"}, looking_at(Pet=pet)) == {
            "name": "Rex",
            "parents": [],
            "owner": {},
        }

    def test_schemas_that_multiply_cost_bounded_time(self):
        schemas = {
            f"S{n}": {"properties": {f"p{m}": {"$ref": f"#/components/schemas/S{n + 1}"} for m in range(20)}}
            for n in range(20)
        }

        value = sent({"$ref": "#/components/schemas/S0"}, looking_at(**schemas))

        assert str(value).count("{") <= 21 * MOST_VALUES

    @pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
    def test_real_schemas_give_the_same_sample_twice(self, path):
        tree = tree_of(path)
        schemas = tree.get("components", {}).get("schemas", tree.get("definitions", {}))

        once = [sample(schema, looking(tree), sending=True) for schema in schemas.values()]

        assert once == [sample(schema, looking(tree), sending=True) for schema in schemas.values()]


class TestSampleOfMedia:
    def test_its_own_examples_win(self):
        media = {
            "examples": {"outside": {"externalValue": "https://example.com"}, "here": {"value": 7}},
            "schema": {"const": 1},
        }

        assert sample_of_media(media, NOWHERE, sending=True) == 7
        assert sample_of_media({"example": None, "schema": {"const": 1}}, NOWHERE, sending=True) is None
        assert sample_of_media({"schema": {"const": 1}}, NOWHERE, sending=True) == 1

    def test_a_parameter_that_says_nothing_takes_its_name(self):
        assert sample_of_parameter({"name": "id", "in": "path"}, NOWHERE) == "id"


class TestBodies:
    def test_xml_has_names_attributes_and_wrappers(self):
        schema = {
            "xml": {"name": "pet"},
            "properties": {
                "id": {"type": "integer", "xml": {"attribute": True}},
                "tags": {"type": "array", "xml": {"wrapped": True}, "items": {"xml": {"name": "tag"}}},
                "a<b": {},
            },
        }

        text = as_xml({"id": 1, "tags": ["x", "y&z"], "a<b": None}, schema, NOWHERE)

        assert text.splitlines()[1:] == [
            '<pet id="1">',
            "  <tags>",
            "    <tag>x</tag>",
            "    <tag>y&amp;z</tag>",
            "  </tags>",
            "  <_a_b></_a_b>",
            "</pet>",
        ]

    def test_each_media_type_has_its_own_text(self):
        assert body_text("application/merge-patch+json", {"a": "ü"}, {}, NOWHERE) == '{\n  "a": "ü"\n}'
        assert (
            body_text("application/x-www-form-urlencoded", {"a": [1, True], "b": "c d&"}, {}, NOWHERE)
            == "a=1&a=true&b=c%20d%26"
        )
        assert body_text("application/xml", "<as-written/>", {}, NOWHERE) == "<as-written/>"
        assert body_text("text/plain", "words", {}, NOWHERE) == "words"

    @pytest.mark.parametrize(
        ("fields", "value", "pairs"),
        [
            ({}, [1, 2], [("p", "1"), ("p", "2")]),
            ({"explode": False}, [1, 2], [("p", "1,2")]),
            ({"style": "pipeDelimited"}, [1, 2], [("p", "1|2")]),
            ({"style": "deepObject"}, {"a": 1}, [("p[a]", "1")]),
            ({}, {"a": 1}, [("a", "1")]),
            ({"explode": False}, {"a": 1}, [("p", "a,1")]),
            ({"content": {"application/json": {}}}, {"a": 1}, [("p", '{"a": 1}')]),
            ({}, True, [("p", "true")]),
        ],
    )
    def test_query_parameters_follow_their_style(self, fields, value, pairs):
        assert query_pairs({"name": "p", "in": "query", **fields}, value) == pairs

    def test_path_parameters_are_encoded(self):
        assert in_path({"name": "p"}, "a/b?c") == "a%2Fb%3Fc"
        assert in_path({"name": "p", "style": "matrix"}, [1, 2]) == ";p=1,2"
        assert in_path({"name": "p", "style": "label"}, 5) == ".5"
        assert simple({"explode": True}, {"a": 1}) == "a=1"
