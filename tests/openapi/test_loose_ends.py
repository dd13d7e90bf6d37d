from typing import Any

import pytest

from portal.openapi.findings import Findings
from portal.openapi.loose_ends import check_references
from tests.openapi.given import OK, document


def warned(tree: Any) -> dict[str, str]:
    findings = Findings()
    check_references(tree, findings)
    return {warning.pointer: warning.sentence for warning in findings.warnings()}


class TestCheckReferences:
    def test_circles_are_fine(self) -> None:
        node = {"properties": {"next": {"$ref": "#/components/schemas/Node"}}}
        loop = {"$ref": "#/components/schemas/Loop"}

        assert warned(document(components={"schemas": {"Node": node, "Loop": loop}})) == {}

    def test_each_thing_that_is_missing_is_said_once(self) -> None:
        schemas = {name: {"items": {"$ref": "#/components/schemas/Gone"}} for name in "abc"}

        assert warned({"components": {"schemas": schemas}}) == {
            "/components/schemas/a/items/$ref": "There is no “#/components/schemas/Gone” in this document. "
            "2 other references to it too."
        }

    def test_what_lies_outside_is_said_once_a_document(self) -> None:
        refs = ["https://example.com/a.json#/x", "https://example.com/a.json#/y", "common.yaml", "file:///etc/passwd"]
        schemas = {f"s{n}": {"$ref": ref} for n, ref in enumerate(refs)}

        said = warned({"components": {"schemas": schemas}})

        assert said["/components/schemas/s0/$ref"].startswith("2 references lead to “https://example.com/a.json”")
        assert said["/components/schemas/s2/$ref"].startswith("A reference leads to “common.yaml”")
        assert "does not fetch it" in said["/components/schemas/s3/$ref"]
        assert len(said) == 3

    @pytest.mark.parametrize("ref", ["#/paths/~1pets~1%7Bid%7D", "#/paths/~1pets~1{id}", "#", "#/paths/~1a%20b"])
    def test_pointers_may_be_percent_encoded(self, ref: str) -> None:
        assert warned({"paths": {"/pets/{id}": {"get": OK}, "/a b": {}, "/c": {"$ref": ref}}}) == {}

    def test_words_in_data_are_no_references(self) -> None:
        data = {"$ref": "#/nowhere"}
        schema = {"example": data, "default": data, "enum": [data], "x-more": data, "examples": [data], "const": data}
        media = {"examples": {"one": {"value": data}}}

        assert warned({"schemas": {"a": schema}, "content": {"b": media}, "x-all": data}) == {}

    def test_names_that_are_words_of_openapi_are_names(self) -> None:
        gone = {"$ref": "#/nowhere"}
        tree = {"properties": {"example": gone, "$ref": {"type": "string"}}, "responses": {"default": gone}}

        assert list(warned(tree)) == ["/properties/example/$ref"]

    @pytest.mark.parametrize("ref", [None, 1, [], {}, {"$ref": "#"}])
    def test_what_is_no_text_is_no_reference(self, ref: Any) -> None:
        assert warned({"schemas": {"a": {"$ref": ref}}}) == {}

    def test_anchors_are_found(self) -> None:
        schemas = {"Pet": {"$anchor": "pet"}, "Cat": {"$ref": "#pet"}, "Dog": {"$ref": "#dog"}}

        assert list(warned({"components": {"schemas": schemas}})) == ["/components/schemas/Dog/$ref"]

    def test_a_document_is_looked_through_for_anchors_once(self) -> None:
        schemas = {f"S{n}": {"$ref": f"#gone{n}"} for n in range(20_000)}

        assert len(warned({"components": {"schemas": schemas}})) == 201

    @pytest.mark.parametrize("index", ["9" * 5_000, "-1", "01", "\u0662", "2"])
    def test_an_index_that_is_none_leads_nowhere(self, index: str) -> None:
        assert len(warned({"allOf": [{}, {"$ref": f"#/allOf/{index}"}]})) == 1
