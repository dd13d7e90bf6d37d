import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from portal.openapi import official
from portal.openapi.official import without_alternatives
from tests.openapi.given import document

SCHEMAS = Path(official.__file__).parent


def schema(version: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{version}.json").read_bytes())
    return loaded


class TestWithoutAlternatives:
    @pytest.mark.parametrize("version", ["3.1", "3.2"])
    def test_schemas_of_later_drafts_stay_as_they_are(self, version: str) -> None:
        assert without_alternatives(schema(version)) == schema(version)

    def test_a_deep_fault_fails_once_and_not_each_level_above_it(self) -> None:
        deep: dict[str, Any] = {"type": "int"}
        for _ in range(80):
            deep = {"properties": {"below": deep}, "description": "x" * 100}
        tree = document(components={"schemas": {"Deep": deep}})

        (error,) = jsonschema_rs.validator_for(without_alternatives(schema("3.0")), offline=True).iter_errors(tree)

        assert list(error.instance_path)[-1] == "type"
        assert len(error.message) < 200

    @pytest.mark.parametrize(
        ("part", "valid"),
        [
            ({"$ref": "#/components/schemas/Other"}, True),
            ({"$ref": 1}, False),
            ({"type": "string"}, True),
            ({"additionalProperties": True}, True),
            ({"additionalProperties": {"type": "string"}}, True),
            ({"additionalProperties": {"type": "text"}}, False),
            ({"additionalProperties": 1}, False),
            ({"multipleOf": 2, "exclusiveMaximum": True}, True),
            ({"multipleOf": 0}, False),
            (True, False),
        ],
    )
    def test_the_same_is_valid(self, part: Any, valid: bool) -> None:
        tree = document(components={"schemas": {"Part": part}})
        before, after = schema("3.0"), without_alternatives(schema("3.0"))

        assert jsonschema_rs.validator_for(before, offline=True).is_valid(tree) is valid
        assert jsonschema_rs.validator_for(after, offline=True).is_valid(tree) is valid
