from typing import Any

import pytest

from portal.openapi.findings import Findings
from portal.openapi.structure import check_structure
from tests.openapi.given import OK, document


def warned(tree: Any, version: str = "3.0") -> dict[str, str]:
    findings = Findings()
    check_structure(tree, version, findings)
    return {warning.pointer: warning.sentence for warning in findings.warnings()}


def with_schema(schema: Any) -> dict[str, Any]:
    parameter = {"name": "q", "in": "query", "schema": schema}
    return document({"/pets": {"get": {**OK, "parameters": [parameter]}}})


SCHEMA = "/paths/~1pets/get/parameters/0/schema"


class TestCheckStructure:
    @pytest.mark.parametrize(
        ("tree", "pointer", "sentence"),
        [
            (document(foo=1), "/foo", "OpenAPI 3.0 knows no “foo” here."),
            (document(info={"title": "Pets"}), "/info", "“version” is missing here."),
            (document(info={"title": 1, "version": "1"}), "/info/title", "This should be a text, and is a number."),
            (
                document({"/a": {"get": {"responses": {}}}}),
                "/paths/~1a/get/responses",
                "This is empty, and should not be.",
            ),
            (document(openapi="3.0"), "/openapi", "“3.0” does not have the form that OpenAPI asks for here."),
            (with_schema({"type": "int"}), f"{SCHEMA}/type", "“int” is none of what may stand here: "),
            (
                with_schema({"properties": {"a": {"minimum": "1"}}}),
                f"{SCHEMA}/properties/a/minimum",
                "This should be a number",
            ),
            (with_schema("string"), SCHEMA, "This should be an object, and is a text."),
        ],
    )
    def test_each_fault_has_a_place_and_a_sentence(self, tree: Any, pointer: str, sentence: str) -> None:
        assert warned(tree)[pointer].startswith(sentence)

    def test_of_several_forms_the_one_that_is_meant_is_judged(self) -> None:
        schemes = {"key": {"type": "apiKey", "name": "X-Key"}}

        assert warned(document(components={"securitySchemes": schemes})) == {
            "/components/securitySchemes/key": "“in” is missing here."
        }

    @pytest.mark.parametrize("version", ["2.0", "3.0", "3.1", "3.2"])
    def test_every_version_has_its_schema(self, version: str) -> None:
        assert "This should be an object, and is a list." in warned({"info": [], "paths": {}}, version)["/info"]

    def test_a_large_document_is_judged_in_parts_and_says_the_same(self) -> None:
        paths = {f"/p{n}": {"get": OK if n % 400 else {}} for n in range(1_200)}
        schemas = {f"S{n}": {"type": "string" if n % 400 else "int"} for n in range(1_200)}

        said = warned(document(paths, components={"schemas": schemas}, foo=1))

        assert set(said) == {
            "/foo",
            *(f"/paths/~1p{n}/get" for n in (0, 400, 800)),
            *(f"/components/schemas/S{n}/type" for n in (0, 400, 800)),
        }

    def test_large_definitions_of_2_0_are_judged_in_parts_too(self) -> None:
        definitions = {f"S{n}": {"type": "string" if n else "int"} for n in range(1_200)}
        tree = {"swagger": "2.0", "info": {"title": "Pets", "version": "1"}, "paths": {}, "definitions": definitions}

        assert list(warned(tree, "2.0")) == ["/definitions/S0/type"]
