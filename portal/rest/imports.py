"""Imports: an OpenAPI document is brought, looked at, and becomes an API or brings one up to date."""

from typing import Annotated, Any, Literal

from flask import Flask, current_app
from pydantic import Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, selectinload

from portal import config_of, gateway, reading, registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.db import db
from portal.errors import Invalid, Unreadable
from portal.outbound.fetch import NotFetched
from portal.registry import Document, imports
from portal.registry.merging import meetings, merged
from portal.registry.models import Api, Import, ImportSource, ImportState
from portal.registry.proposals import Proposal
from portal.rest import apis, drafts, lists, operations
from portal.rest.apis import ApiAnswer, Version
from portal.rest.imported import ImportAnswer, ImportSummary, shown, summary
from portal.rest.operations import Operations, OperationSearch
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Listed, Name, Paging, Slug
from portal.web import described
from portal.web.guards import a_team, an_api, an_import, me

route = tagged("Imports")


class NewImport(Asked):
    """One of the two."""

    text: Annotated[str, Field(min_length=1)] | None = None
    """The document itself, JSON or YAML: OpenAPI 3.0, 3.1 or 3.2, or Swagger 2.0."""
    address: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """Where it can be fetched without signing in."""


class Application(Asked):
    """How it is applied. What is left out is as the document proposes it."""

    slug: Slug | None = None
    """Of a new API."""
    version: Version | None = None
    """Of a new API."""
    name: Name | None = None
    """Of a new API."""
    target: Annotated[str, Field(max_length=500)] | None = None
    """Of a new API: the address that calls are sent to."""
    path: Annotated[str, Field(max_length=200)] | None = None
    """Of a new API: where the gateway serves it."""
    take: list[Literal["name", "description", "target", "key", "tags"]] | None = None
    """Of an API that exists: the fields that shall be as the document has them; without it, those that nobody has
    changed by hand."""


class ImportSearch(Paging):
    state: ImportState | None = None


class Imports(Listed):
    items: list[ImportSummary]


def _most_bytes(app: Flask) -> int:
    """JSON escapes line ends and quotes."""
    return 2 * config_of(app).import_limit * 1_000_000 + 1_000_000


def _state(_session: Session, imported: Import) -> str:
    return drafts.etag(imported.api) if imported.api else f"import-{imported.id}"


def _looked_at(body: NewImport, api: Api | None) -> reading.Brought:
    """Raises Invalid."""
    most = config_of(current_app).import_limit * 1_000_000
    if (body.text is None) == (body.address is None):
        raise Invalid({"text": "Give the document itself, or its address."})
    field = "text" if body.address is None else "address"
    source, name, led_to, data = ImportSource.PASTE, "", "", (body.text or "").encode()
    try:
        if body.address is not None:
            rules = gateway.rules_of(config_of(current_app))
            db.session.rollback()  # no transaction is held open for as long as others take to answer
            fetched = described.document_at(body.address, rules, most_bytes=most)
            source, name, led_to, data = ImportSource.ADDRESS, body.address, fetched.led_to, fetched.data
        if len(data) > most:
            raise Invalid({field: f"It has more than {most / 1e6:,.0f} MB, which is the most here."})
        return reading.look_at(api, data, source=source, source_name=name, led_to=led_to)
    except (Unreadable, NotFetched) as error:
        raise Invalid({field: str(error)}) from None


def _look_at_new(team: Team, body: NewImport) -> reading.Brought:
    return _looked_at(body, None)


def _look_at_newer(api: Api, body: NewImport) -> reading.Brought:
    return _looked_at(body, api)


def _begun(session: Session, imported: Import) -> Answer:
    return Answer(shown(session, imported), location=f"/imports/{imported.id}")


@route(
    "POST",
    "/teams/<team>/imports",
    Permission.MANAGE_APIS,
    a_team,
    scope=Scope.APIS,
    body=NewImport,
    answer=ImportAnswer,
    most_bytes=_most_bytes,
    prepare=_look_at_new,
    creates=True,
)
def bring(session: Session, team: Team, body: NewImport, prepared: reading.Brought) -> Answer:
    """Bring a document for a new API. Nothing is made before it is applied.

    A small one is `ready` in this answer; the worker reads a large one.
    """
    return _begun(session, reading.store(session, team, prepared, api=None, by=me()))


@route(
    "POST",
    f"{apis.ADDRESS}/imports",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=NewImport,
    answer=ImportAnswer,
    most_bytes=_most_bytes,
    prepare=_look_at_newer,
    creates=True,
)
def bring_again(session: Session, api: Api, body: NewImport, prepared: reading.Brought) -> Answer:
    """Bring a newer document for an API. Policies, plans, subscriptions and keys stay whatever it says."""
    return _begun(session, reading.store(session, api.team, prepared, api=api, by=me()))


@route(
    "GET",
    "/teams/<team>/imports",
    Permission.MANAGE_APIS,
    a_team,
    scope=Scope.READ,
    query=ImportSearch,
    answer=Imports,
)
def of_team(session: Session, team: Team, query: ImportSearch) -> Imports:
    """What a team has brought, the newest first. What is over stays for a while."""
    return _listed(session, Import.team_id == team.id, query)


@route(
    "GET",
    f"{apis.ADDRESS}/imports",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.READ,
    query=ImportSearch,
    answer=Imports,
)
def of_api(session: Session, api: Api, query: ImportSearch) -> Imports:
    """What was brought for an API, the newest first."""
    return _listed(session, Import.api_id == api.id, query)


def _listed(session: Session, condition: ColumnElement[bool], query: ImportSearch) -> Imports:
    rows = select(Import).where(condition).options(selectinload(Import.team), selectinload(Import.api))
    if query.state is not None:
        rows = rows.where(Import.state == query.state)
    found, following = lists.by_number(session, rows, Import.id, query)
    return Imports(items=[summary(each) for each in found], next=following)


@route(
    "GET",
    "/imports/<int:import_id>",
    Permission.MANAGE_APIS,
    an_import,
    scope=Scope.READ,
    answer=ImportAnswer,
)
def show(session: Session, imported: Import) -> ImportAnswer:
    """What became of a document, and what applying it would do."""
    return shown(session, imported)


@route(
    "POST",
    "/imports/<int:import_id>/apply",
    Permission.MANAGE_APIS,
    an_import,
    scope=Scope.APIS,
    body=Application,
    answer=ApiAnswer,
    match=_state,
)
def apply(session: Session, imported: Import, body: Application) -> ApiAnswer:
    """Make an API of it, or a new draft of the API that it is for. Publish that to make it live.

    `If-Match` may be the ETag of the draft that it was compared with.
    """
    imports.require_ready(session, imported)
    proposed = imports.proposal_of(session, imported)
    api = imported.api
    if api is None:
        slug, version = body.slug or proposed.slug, body.version or proposed.version
        document = _document(imported, proposed, body, slug, version)
        api = imports.create(session, imported, document, slug=slug, version=version, by=me())
    else:
        found = meetings(imports.base_of(session, api), registry.read_document(api.draft), proposed)
        fields = [each.field for each in found if each.takes_theirs] if body.take is None else body.take
        values = merged(registry.read_document(api.draft), proposed, fields, imported.sha256 or "")
        document = registry.read_document(values, typed=True)
        imports.apply(session, imported, document, by=me(), expected=api.draft_number)
    session.flush()
    return apis.shown(api)


def _document(imported: Import, proposed: Proposal, body: Application, slug: str, version: str) -> Document:
    """Raises Invalid."""
    target = body.target or next(iter(proposed.targets), "")
    wrong = {
        name: sentence
        for name, value, sentence in (
            ("slug", slug, "No slug can be made from the title. Give one."),
            ("target", target, "The document names no server. Give the address that calls are sent to."),
        )
        if not value
    }
    if wrong:
        raise Invalid(wrong)
    values: dict[str, Any] = {
        "name": body.name or proposed.name,
        "description": proposed.description,
        "path": body.path or f"/{slug}/{version}",
        "upstream": {"targets": [{"url": target}]},
        "tags": list(proposed.tags),
        "openapi": imported.sha256,
    }
    if proposed.key is not None:
        values["key"] = proposed.key.model_dump()
    elif proposed.basic:
        values["authentication"] = {"key": False, "basic": True}
    return registry.read_document(values, typed=True)


@route(
    "POST",
    "/imports/<int:import_id>/compare",
    Permission.MANAGE_APIS,
    an_import,
    scope=Scope.APIS,
    answer=ImportAnswer,
)
def compare(session: Session, imported: Import) -> ImportAnswer:
    """Compare it with the document that its API has by now, as it has to be when it `is_stale`.

    The worker does it: the import is `waiting`, and `ready` again after a moment.
    """
    imports.compare_again(session, imported)
    return shown(session, imported)


@route(
    "GET",
    "/imports/<int:import_id>/operations",
    Permission.MANAGE_APIS,
    an_import,
    scope=Scope.READ,
    query=OperationSearch,
    answer=Operations,
)
def its_operations(session: Session, imported: Import, query: OperationSearch) -> Operations:
    """Operations of the document that was brought, in its order; none while it is not read."""
    return operations.listed(session, imported.sha256, query)


@route("DELETE", "/imports/<int:import_id>", Permission.MANAGE_APIS, an_import, scope=Scope.APIS)
def discard(session: Session, imported: Import) -> None:
    """Give an import up, also one that is being read. One that was applied cannot be taken back so (409)."""
    imports.discard(session, imported)
