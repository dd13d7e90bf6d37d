"""Every document in tests/specs, as its publisher wrote it."""

import json
from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

from portal.openapi import read

SPECS = Path(__file__).parent.parent / "specs"

# How many operations and how many warnings.
KNOWN = {
    "adyen.com__GrantService-v3": (3, 0),
    "adyen.com__StoredValueService": (6, 0),
    "adyen.com__TransferService-v4": (7, 0),
    "azure.com__azsadmin-DiskMigrationJobs": (4, 1),
    "azure.com__azsadmin-ResourceHealth": (2, 1),
    "azure.com__network-usage": (1, 1),
    "azure.com__web-Domains": (15, 1),
    "canada-holidays.ca": (6, 0),
    "clever-cloud.com": (324, 1),
    "codat.io__commerce": (11, 0),
    "codat.io__sync-for-commerce": (17, 0),
    "color.pizza": (4, 0),
    "daniweb.com": (67, 2),
    "googleapis.com__chromepolicy": (14, 3),
    "googleapis.com__documentai": (26, 3),
    "googleapis.com__workspaceevents": (6, 2),
    "httpbin__swagger2": (78, 91),
    "intellifi.nl": (77, 1),
    "ipqualityscore.com": (3, 0),
    "listennotes.com": (24, 1),
    "mailboxvalidator.com__checker": (1, 0),
    "mastodon.local": (127, 1),
    "npr.org__identity": (5, 1),
    "simplyrets.com": (4, 0),
    "telstra.com": (18, 1),
    "tisane.ai": (6, 0),
    "twilio.com__twilio_accounts_v1": (16, 0),
    "twilio.com__twilio_chat_v3": (1, 0),
}


def counted(path: Path) -> int:
    """Operations, counted another way than `read` does."""
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    return sum(len(methods & item.keys()) for item in json.loads(path.read_bytes())["paths"].values())


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.json")), ids=lambda path: path.stem)
class TestSpecs:
    def test_it_is_read(self, path: Path) -> None:
        description = read(path.read_bytes())

        assert (len(description.operations), len(description.warnings)) == KNOWN[path.stem]
        assert len(description.operations) == counted(path)
        assert len({operation.id.lower() for operation in description.operations}) == len(description.operations)
        assert description.title
        assert description.servers

    def test_it_is_read_the_same_again(self, path: Path) -> None:
        assert read(path.read_bytes()) == read(path.read_bytes())

    def test_it_is_the_same_in_yaml(self, path: Path) -> None:
        given = json.loads(path.read_bytes())
        written = yaml.dump(given, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)

        assert read(written.encode()) == read(path.read_bytes())


class TestSwagger2:
    def test_what_becomes_of_it_has_no_faults_but_those_it_came_with(self) -> None:
        tree = read((SPECS / "httpbin__swagger2.json").read_bytes()).tree

        faults = [error.message for error in OpenAPIV30SpecValidator(tree).iter_errors()]

        assert [fault for fault in faults if not fault.startswith(("Path parameter", "Additional properties"))] == []
        assert len(faults) == 8


def test_each_document_is_known() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == KNOWN.keys()
