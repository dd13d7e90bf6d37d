import pytest

from portal.openapi.references import looking
from portal.openapi.schemas import tree_of, type_words
from tests.openapi import documents
from tests.openapi.documents import SPECS, looking_at

PET = {"$ref": "#/components/schemas/Pet"}
LOOK = looking_at(Pet={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})


def count(node):
    below = [*node.children, *node.choices, *(it for it in (node.items, node.values) if it)]
    return 1 + sum(count(it) for it in below)


class TestTypeWords:
    @pytest.mark.parametrize(
        ("schema", "words"),
        [
            ({"type": "string", "format": "date-time"}, "string (date-time)"),
            ({"type": "string", "nullable": True}, "string or null"),
            ({"type": ["string", "null"]}, "string or null"),
            ({"type": ["integer", "string"]}, "string or integer"),
            (PET, "Pet"),
            ({"type": "array", "items": PET}, "array of Pet"),
            ({"items": {"items": {"type": "integer"}}}, "array of array of integer"),
            ({"additionalProperties": {"type": "integer"}}, "map of integer"),
            ({"anyOf": [PET, {"type": "null"}]}, "Pet or null"),
            ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string or integer"),
            ({"properties": {}}, "object"),
            ({"enum": ["a", "b"]}, "string"),
            ({"enum": [1, 2.5, None]}, "number or null"),
            ({"enum": [1, True, "a"]}, "string or integer or boolean"),
            ({"enum": []}, "any"),
            ({"const": 3}, "integer"),
            ({}, "any"),
            (True, "any"),
            (False, "nothing"),
            ({"$ref": "#/components/schemas/Gone"}, "Gone"),
        ],
    )
    def test_types_read_as_words(self, schema, words):
        assert type_words(schema, LOOK) == words


class TestConstraints:
    @pytest.mark.parametrize(
        ("schema", "phrases"),
        [
            ({"minLength": 1, "maxLength": 20}, ("1 to 20 characters",)),
            ({"minLength": 1}, ("at least 1 character",)),
            ({"maxLength": 20}, ("at most 20 characters",)),
            ({"minLength": 2, "maxLength": 2}, ("exactly 2 characters",)),
            ({"minimum": 3}, ("at least 3",)),
            ({"minimum": 3, "maximum": 5}, ("3 to 5",)),
            ({"minimum": 3, "exclusiveMinimum": True}, ("more than 3",)),
            ({"exclusiveMinimum": 3, "maximum": 9}, ("more than 3 and at most 9",)),
            ({"multipleOf": 5}, ("a multiple of 5",)),
            ({"pattern": "^a$"}, ("matches ^a$",)),
            ({"type": "array", "minItems": 1, "uniqueItems": True}, ("at least 1 item", "unique")),
            ({"minLength": "many", "maximum": None}, ()),
        ],
    )
    def test_bounds_read_as_words(self, schema, phrases):
        assert tree_of(schema, LOOK).constraints == phrases


class TestTreeOf:
    def test_properties_say_what_they_are(self):
        node = tree_of(PET, LOOK)

        assert node.title == "Pet"
        assert [(it.name, it.type, it.required) for it in node.children] == [("name", "string", True)]

    def test_all_of_is_one_object(self):
        node = tree_of({"allOf": [PET, {"properties": {"age": {"type": "integer", "default": 0}}}]}, LOOK)

        assert [(it.name, it.default) for it in node.children] == [("name", None), ("age", "0")]

    def test_values_are_shown_as_json(self):
        node = tree_of({"enum": ["a", 1, None], "const": "a", "examples": [{"x": "ü"}]}, LOOK)

        assert (node.enum, node.const, node.examples) == (('"a"', "1", "null"), '"a"', ('{"x": "ü"}',))

    def test_choices_have_a_discriminator(self):
        schema = {"oneOf": [PET, {"title": "Rock"}], "discriminator": {"propertyName": "kind"}}

        node = tree_of(schema, LOOK)

        assert (node.choice, node.discriminator) == ("one of", "kind")
        assert [it.title for it in node.choices] == ["Pet", "Rock"]

    def test_a_choice_between_a_thing_and_null_is_no_choice(self):
        node = tree_of({"anyOf": [PET, {"type": "null"}]}, LOOK)

        assert (node.type, node.choices) == ("Pet or null", ())
        assert [it.name for it in node.children] == ["name"]

    def test_items_and_map_values_go_on(self):
        node = tree_of({"properties": {"all": {"items": PET}, "by": {"additionalProperties": PET}}}, LOOK)

        assert [it.name for it in node.children[0].items.children] == ["name"]
        assert [it.name for it in node.children[1].values.children] == ["name"]

    def test_recursion_says_what_it_repeats(self):
        look = looking_at(Pet={"properties": {"parent": PET, "litter": {"items": PET}}})

        parent, litter = tree_of(PET, look).children

        assert parent.repeats == "Pet"
        assert litter.items.repeats == "Pet"

    def test_a_base_that_lists_what_is_built_upon_it_ends(self):
        cat = {"$ref": "#/components/schemas/Cat"}
        look = looking_at(
            Pet={"oneOf": [cat], "properties": {"kind": {}}}, Cat={"allOf": [PET], "properties": {"lives": {}}}
        )

        node = tree_of(PET, look)

        assert [it.name for it in node.choices[0].children] == ["kind", "lives"]
        assert node.choices[0].choices == ()

    def test_a_monstrous_schema_is_cut_and_says_so(self):
        schemas = {
            f"S{n}": {"properties": {f"p{m}": {"$ref": f"#/components/schemas/S{n + 1}"} for m in range(30)}}
            for n in range(30)
        }
        wide = {"properties": {f"p{m}": {} for m in range(5_000)}}

        deep = tree_of({"$ref": "#/components/schemas/S0"}, looking_at(**schemas), most=200)

        assert count(deep) <= 201
        assert [it.name for it in deep.children] == [f"p{m}" for m in range(30)]
        cut = deep.children[-1]
        assert (cut.more, cut.pointer) == (30, "/components/schemas/S1")
        assert tree_of(wide, LOOK).more == 4_800

    @pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
    def test_real_schemas_grow_bounded_trees(self, path):
        tree = documents.tree_of(path)
        schemas = tree.get("components", {}).get("schemas", tree.get("definitions", {}))

        assert all(count(tree_of(schema, looking(tree), most=100)) <= 130 for schema in schemas.values())
