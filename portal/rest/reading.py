"""What of a request is read, strictly: JSON as the model has it, each query parameter once and by its name."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from portal.errors import BadRequest, Invalid
from portal.registry.document import sentences

M = TypeVar("M", bound=BaseModel)


def body(model: type[M], context: Mapping[str, Any]) -> M:
    """Raises UnsupportedMediaType, BadRequest for what is no JSON, Invalid with a sentence for each field."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType()
    sent = request.get_data(cache=False)
    try:
        values = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is no JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    if wrong := dict(_nuls(values, "")):
        raise Invalid(wrong)
    try:
        return model.model_validate_json(sent, strict=True, context=dict(context))
    except ValidationError as error:
        raise Invalid(_named(error)) from None


def query(model: type[M]) -> M:
    """Raises Invalid."""
    several = [name for name, values in request.args.lists() if len(values) > 1]
    if several:
        raise Invalid({name: "Give this once." for name in several})
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise Invalid(_named(error)) from None


class Nothing(BaseModel, extra="forbid"):
    """The query of routes that take none."""


def _named(error: ValidationError) -> dict[str, str]:
    """A problem of the whole has the empty name: its pointer is `#/`."""
    said = sentences(error)
    if any(not problem["loc"] for problem in error.errors(include_url=False)):
        whole = said.pop("path", None)
        if whole:
            said[""] = whole
    return said


def _nuls(value: Any, where: str) -> Any:
    """PostgreSQL stores no NUL in any text."""
    if isinstance(value, str):
        if "\0" in value:
            yield where.lstrip("."), "A text must not hold a NUL character."
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _nuls(each, f"{where}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _nuls(each, f"{where}.{number}")
