"""The REST API's own OpenAPI 3.1 document, made from the same declarations as its views."""

import inspect
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import portal
from portal.accounts import Permission
from portal.accounts.tokens import SCOPES
from portal.rest.route import ROOT, ROUTES, Route
from portal.web.intake import LARGEST_ID
from portal.web.problems import PROBLEM

_PART = re.compile(r"<(?:(\w+):)?(\w+)>")
_ABOUT = """\
What a page of Portico can do, a script can do here.

**Signing in.** Send an access token, which people make under *Settings → Access tokens*: `Authorization: Bearer ppt_…`.
It does what its person may, as far as its scopes go; cookies count nothing here. What you may not know of answers 404,
what you may not do 403. An administrator's token without the scope `admin` is as good as another member's of the
person's own teams: other teams' things answer 404, and lists leave them out.

**Lists** come in pages of `limit` rows (50, at most 100). `next` in the body is the `cursor` of the next page, the
header `Link` has its whole address.

**Changes.** Answers carry an `ETag`; send it back as `If-Match`, and nobody's change is overwritten: 412 says there is
a newer state. Where it is required, its absence is answered with 428.

**Once only.** Send an `Idempotency-Key` with what makes something, and a repetition within 24 hours gets the first
answer again, marked `Idempotent-Replayed: true`, without what is shown once only. The same key with another request is
refused (422). What was refused is not remembered.

**Errors** are problem details (RFC 9457). `code` is for programs, `detail` for people, `errors` names each wrong field
with a JSON pointer, `request_id` is what the log has.

**Limits.** `RateLimit` says how many requests this token has left in this minute of the clock, and for how many
seconds.

**For pages alone** are what belongs to a person (name, address, password, second factor, sessions, access tokens, the
file of one's own data), the deletion of people, which asks for a password, and the tables of the back office.
"""
_PROBLEMS = {
    400: "What was sent cannot be read.",
    401: "No access token, or one that opens nothing.",
    403: "The person may not do this, or the token lacks the scope.",
    404: "There is nothing here, or nothing that the person may know of.",
    405: "What was put into the address makes another one of it, which does not take this method.",
    409: "It collides with something that is there.",
    412: "If-Match does not name the state that is stored.",
    413: "The body is too large.",
    415: "The body is no `application/json`.",
    422: "Something in it is not right: `errors` says what.",
    428: "If-Match is needed.",
    429: "Too many requests, or too many attempts.",
    500: "Something went wrong on our side.",
    503: "Not available right now.",
}
_PARTS = {
    "team": "Slug of the team.",
    "slug": "Slug of the API.",
    "version": "Version of the API.",
    "number": "Number of the release.",
    "import_id": "Number of the import.",
    "member": "Number of the membership.",
    "plan": "Slug of the plan.",
    "category": "Slug of the category.",
    "consumer": "Slug of the consumer.",
    "subscription": "Number of the subscription.",
    "key": "Public id of the key, without `pco_`.",
    "secret": "Name of the secret.",
    "name": "Name of the file.",
    "person": "Number of the person.",
    "invitation": "Number of the invitation.",
    "request_id": "Id of the call, as the gateway gave it.",
}


class Wrong(BaseModel):
    pointer: str
    """JSON pointer into the body, or to a parameter's name."""
    field: str
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    """A sentence for people."""
    instance: str
    code: str
    """A word for programs, such as `name_taken`."""
    request_id: str
    errors: list[Wrong] | None = None


@cache
def _made() -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {(Problem, "validation"): None}
    for route in ROUTES:
        if route.body is not None:
            wanted[route.body, "validation"] = None
        if route.answer is not None:
            wanted[route.answer, "serialization"] = None
    references, schemas = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = _PART.sub(r"{\2}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, references)
    tags = list(dict.fromkeys(route.tag for route in ROUTES))
    document = {
        "openapi": "3.1.1",
        "info": {"title": "Portico", "version": portal.__version__, "description": _ABOUT},
        "tags": [{"name": tag} for tag in tags],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token. Its scopes: "
                    + "; ".join(f"`{scope}`: {words}" for scope, words in SCOPES.items())
                    + ".",
                }
            },
            "headers": _HEADERS,
            "responses": {f"Problem{status}": _problem(status) for status in _PROBLEMS},
        },
    }
    return _plain_names(document)


def document(url: str = "") -> dict[str, Any]:
    """The OpenAPI document; `url` is where the portal is, for `servers`."""
    return {**_made(), "servers": [{"url": f"{url}{ROOT}"}]}


def _operation(route: Route, references: Any) -> dict[str, Any]:
    first, _, rest = (inspect.getdoc(route.view) or "").partition("\n\n")
    # Lists show summaries: the first sentence, without Markdown.
    summary, _, second = " ".join(first.split()).partition(". ")
    more = "\n\n".join(part for part in (second, rest.strip()) if part)
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": summary.replace("`", "").rstrip("."),
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route, references),
    }
    said = [more] if more else []
    if route.scope is not None:
        said.append(f"Scope: `{route.scope}`.")
        operation["security"] = [{"token": [route.scope.value]}]
    if said:
        operation["description"] = "\n\n".join(said)
    if route.permission is Permission.PUBLIC:
        operation["security"] = []
    if route.body is not None:
        schema = references[route.body, "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind, name in _PART.findall(route.path):
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if kind == "int":
            schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}
        found.append(
            {"name": name, "in": "path", "required": True, "schema": schema, "description": _PARTS.get(name, "")}
        )
    if route.query is not None:
        schemas = route.query.model_json_schema(by_alias=True)
        for name, schema in schemas.get("properties", {}).items():
            schema = _resolved(schema, schemas.get("$defs", {}))
            parameter = {"name": name, "in": "query", "schema": schema, "required": name in schemas.get("required", ())}
            if said := schema.pop("description", ""):
                parameter["description"] = said
            found.append(parameter)
    if route.match is not None:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": route.must_match,
                "schema": {"type": "string"},
                "description": "The ETag of what the change is based on.",
            }
        )
    if route.creates:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[!-~]{1,100}$"},
                "description": "Whatever is sent with the same one within 24 hours happens once.",
            }
        )
    return found


def _resolved(schema: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is not null; what is named stands here."""
    schema = dict(schema)
    several = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    for each in several:
        schema |= each
    if "$ref" in schema:
        schema |= named[schema.pop("$ref").rpartition("/")[2]]
    schema.pop("title", None)
    if schema.get("default", "") is None:
        del schema["default"]
    return schema


def _responses(route: Route, references: Any) -> dict[str, Any]:
    headers: dict[str, Any] = {name: _header(name) for name in _ALWAYS}
    problems = {400, 422, 500, 503} | route.problems
    if route.permission is not Permission.PUBLIC:
        headers |= {name: _header(name) for name in _WITH_TOKEN}
        problems |= {401, 403, 429}
    if _PART.search(route.path):
        problems |= {404, 405}
    if route.writes:
        problems |= {404, 409}
    if route.body is not None:
        problems |= {413, 415}
    if route.match is not None:
        problems |= {412, 428} if route.must_match else {412}
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase, "headers": dict(headers)}
    if route.answer is not None:
        good["content"] = {"application/json": {"schema": references[route.answer, "serialization"]}}
        if "next" in route.answer.model_fields and "items" in route.answer.model_fields:
            good["headers"]["Link"] = _header("Link")
    if route.etag:
        good["headers"]["ETag"] = _header("ETag")
    if route.status == 201:
        good["headers"]["Location"] = _header("Location")
    if route.creates:
        good["headers"]["Idempotent-Replayed"] = _header("Idempotent-Replayed")
    found = {str(route.status): good}
    return found | {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(problems)}


def _problem(status: int) -> dict[str, Any]:
    headers = [*_ALWAYS, *_WITH_TOKEN, *{401: ["WWW-Authenticate"], 429: ["Retry-After"]}.get(status, [])]
    return {
        "description": _PROBLEMS[status],
        "headers": {name: _header(name) for name in headers},
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


_ALWAYS = ("X-Request-Id",)
_WITH_TOKEN = ("RateLimit", "RateLimit-Policy")
_HEADERS: dict[str, Any] = {
    "X-Request-Id": {
        "description": "What the log calls this request.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "RateLimit-Policy": {
        "description": "How many requests this token may send (q) in how many seconds (w).",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "How many requests are left (r), for how many seconds (t).",
        "schema": {"type": "string"},
    },
    "Link": {"description": 'The next page, as `rel="next"`.', "schema": {"type": "string"}},
    "ETag": {"description": "Names this state, for If-Match.", "required": True, "schema": {"type": "string"}},
    "Location": {"description": "Where what was made is.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` when this is the answer to an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}


def _plain_names(document: dict[str, Any]) -> dict[str, Any]:
    """`Team` for our `TeamAnswer`: here nothing else has that name."""
    schemas = document["components"]["schemas"]
    names = {name: name.removesuffix("Answer") for name in schemas if name.removesuffix("Answer") not in schemas}
    references = {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in names.items()}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: references.get(each, each) if key == "$ref" and isinstance(each, str) else renamed(each)
                for key, each in value.items()
            }
        return [renamed(each) for each in value] if isinstance(value, list) else value

    document["components"]["schemas"] = {
        names.get(name, name): {**renamed(schema), "title": names.get(name, name)} for name, schema in schemas.items()
    }
    return {name: part if name == "components" else renamed(part) for name, part in document.items()} | {
        "components": document["components"]
    }
