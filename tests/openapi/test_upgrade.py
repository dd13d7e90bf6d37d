"""Documents of 2.0 and what becomes of them, readable: `<a sentence>.in.json` and `.out.json` in goldens/upgrade/.

`pytest tests/openapi/test_upgrade.py --update-goldens` writes the outs anew; read the difference before you keep it.
"""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from portal.openapi.findings import Findings
from portal.openapi.upgrade import upgraded
from tests.openapi.given import described

GOLDENS = Path(__file__).with_name("goldens") / "upgrade"
CASES = sorted(GOLDENS.glob("*.in.json"))


class TestUpgrade:
    @pytest.mark.parametrize("source", CASES, ids=lambda path: path.name.removesuffix(".in.json"))
    def test_golden(self, source: Path, request: pytest.FixtureRequest) -> None:
        new = upgraded(json.loads(source.read_text()), Findings())

        golden = source.with_name(source.name.replace(".in.", ".out."))
        got = json.dumps(new, indent=2, ensure_ascii=False) + "\n"
        if request.config.getoption("--update-goldens"):
            golden.write_text(got)
        assert got == golden.read_text()

    @pytest.mark.parametrize("source", CASES, ids=lambda path: path.name.removesuffix(".in.json"))
    def test_what_it_makes_is_valid(self, source: Path) -> None:
        new = upgraded(json.loads(source.read_text()), Findings())

        assert [error.message for error in OpenAPIV30SpecValidator(new).iter_errors()] == []

    def test_no_golden_is_orphaned(self) -> None:
        outs = {path.name.removesuffix(".out.json") for path in GOLDENS.glob("*.out.json")}

        assert outs == {path.name.removesuffix(".in.json") for path in CASES}

    def test_warnings_point_into_the_document_as_it_was_given(self) -> None:
        pets = {"swagger": "2.0", "info": {"title": "Pets", "version": "1"}, "paths": {}}
        signed_in = {"type": "oauth2", "flow": "implicit", "authorizationUrl": "https://pets.example/", "scopes": {}}

        description = described(pets | {"securityDefinitions": {"user": signed_in}})

        assert "/securityDefinitions/user" in {warning.pointer for warning in description.warnings}

    def test_a_second_body_is_warned_of(self) -> None:
        bodies = [{"name": name, "in": "body", "schema": {"type": "string"}} for name in "ab"]
        findings = Findings()

        upgraded({"swagger": "2.0", "paths": {"/pets": {"post": {"parameters": bodies}}}}, findings)

        (warning,) = findings.warnings()
        assert warning.pointer == "/paths/~1pets/post/parameters/1"
        assert "has one body" in warning.sentence

    def test_a_schema_in_several_media_types_is_redirected_once(self) -> None:
        definitions = {"Pet": {"type": "object"}}
        body = {"name": "pet", "in": "body", "schema": {"$ref": "#/paths/~1pets/post/parameters/1/schema"}}
        other = {"name": "ids", "in": "query", "type": "array", "items": {"$ref": "#/definitions/Pet"}}
        operation = {"consumes": ["a/b", "c/d"], "parameters": [body, other], "responses": {}}

        new = upgraded({"paths": {"/pets": {"post": operation}}, "definitions": definitions}, Findings())

        content = new["paths"]["/pets"]["post"]["requestBody"]["content"]
        assert {media["schema"]["$ref"] for media in content.values()} == {"#/paths/~1pets/post/parameters/0/schema"}

    def test_references_in_data_are_words(self) -> None:
        data = {"$ref": "#/definitions/Pet"}
        definitions = {"Pet": {"type": "object", "example": data, "default": data, "enum": [data]}}

        assert upgraded({"definitions": definitions}, Findings())["components"]["schemas"] == definitions
