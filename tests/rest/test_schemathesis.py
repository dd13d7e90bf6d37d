"""Whatever the document allows, and much that it does not, is answered as the document says; nothing is a 5xx.

Requests are made in this process, as an administrator, a publisher and a stranger to the team, from a fixed seed.
"""

import itertools
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.rest.route import ROUTES
from tests.rest.test_permissions import secrets
from tests.web.test_permissions import World, world

__all__ = ["secrets", "world"]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
WHO = ("administrator", "publisher", "outsider")
"""The outsider belongs to another team."""
EXAMPLES = 6
MANY = 100


@pytest.fixture(scope="module")
def api(world: World, secrets: dict[str, str]) -> Any:
    world.app.config["PROPAGATE_EXCEPTIONS"] = False
    world.app.extensions["portico"] = world.app.extensions["portico"].__class__(
        data_dir=world.app.extensions["portico"].data_dir, upstream_loopback=True, confirm_email=True, api_per_minute=0
    )
    document = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", world.app)
    document.config.generation.update(with_security_parameters=False)  # every request has its token
    return document


def operations(api: Any) -> list[Any]:
    return [found.ok() for found in api.get_all_operations()]


def test_every_route_is_in_the_document(api):
    assert sorted(each.definition.raw["operationId"] for each in operations(api)) == sorted(r.name for r in ROUTES)


def examine(world: World, api: Any, token: str, operation: Any, examples: int) -> list[str]:
    """What is wrong, a sentence each. Half of the requests name things that exist."""
    failed: list[str] = []
    turns = itertools.count()

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue
        cases = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def ask(case: Any) -> None:
            wrong_path = ParameterLocation.PATH in case.meta.components and (
                case.meta.components[ParameterLocation.PATH].mode is GenerationMode.NEGATIVE
            )
            if next(turns) % 2 and not wrong_path:
                for name in case.path_parameters or {}:
                    case.path_parameters[name] = world.parts[name]
            response = case.call(headers={"Authorization": f"Bearer {token}"})
            case.validate_response(response, checks=CHECKS)

        try:
            ask()
        except BaseExceptionGroup as group:
            failed += [f"{operation.label} ({mode.name}): {each}" for each in group.exceptions]
        except Exception as error:
            failed.append(f"{operation.label} ({mode.name}): {error}")
    return failed


def _can_be_wrong(operation: Any) -> bool:
    """Not where all there is are words in the address: any word is one."""
    raw = operation.definition.raw
    numbers = any(each["schema"].get("type") == "integer" for each in raw["parameters"])
    return numbers or "requestBody" in raw or any(each["in"] == "query" for each in raw["parameters"])


@pytest.mark.parametrize("who", WHO)
def test_answers_as_the_document_says(world, api, secrets, who):
    failed = []
    for operation in operations(api):
        failed += examine(world, api, secrets[who], operation, EXAMPLES)
        if operation.method != "get":
            world.restore()
    assert not failed, "\n\n".join(failed)


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_answers_much_more_as_the_document_says(world, api, secrets, who):
    failed = []
    for operation in operations(api):
        failed += examine(world, api, secrets[who], operation, MANY)
        if operation.method != "get":
            world.restore()
    assert failed == []


def test_nothing_is_answered_without_a_token(world, api):
    for operation in operations(api):
        if operation.definition.raw.get("security") == []:
            continue  # anybody may ask
        case = operation.Case(path_parameters={name: world.parts[name] for name in _parts(operation)})
        response = case.call()
        assert response.status_code == 401, operation.label
        case.validate_response(response, checks=[*CHECKS[:5], ignored_auth])


def _parts(operation: Any) -> list[str]:
    return [each.name for each in operation.path_parameters]
