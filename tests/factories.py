"""Rows for tests. A test names only what it is about; everything else is plausible and different each time."""

import itertools
from typing import Any

from sqlalchemy.orm import Session

from portal import accounts, openapi, registry
from portal.accounts import Person, Role, Team
from portal.registry import descriptions
from portal.registry.models import Api, Consumer, Key, Plan, SecretKind, Subscription, UpstreamSecret
from portal.vault import Vault

_n = itertools.count(1)


def person(session: Session, **fields: Any) -> Person:
    n = next(_n)
    row = Person(
        **{
            "email": f"person{n}@portico.example",
            "name": f"Person {n}",
            "password": "!",  # matches no password; sign_in() of conftest needs none
            "fs_uniquifier": f"person-{n}-{'u' * 40}",
        }
        | fields
    )
    session.add(row)
    session.flush()  # the personal team refers to the id
    accounts.create_personal_team(session, row)
    session.flush()
    return row


def team(session: Session, *, owner: Person | None = None, **fields: Any) -> Team:
    """A team that may publish, unless said otherwise."""
    n = next(_n)
    values = {"slug": f"team-{n}", "name": f"Team {n}", "may_publish": True} | fields
    row = accounts.create_team(session, owner=owner or person(session), **values)
    session.flush()
    return row


def member(session: Session, team: Team, role: Role) -> Person:
    who = person(session)
    accounts.add_member(session, team, email=who.email, role=role)
    session.flush()
    return who


def document(**values: Any) -> registry.Document:
    n = next(_n)
    return registry.read_document(
        {
            "name": f"Orders {n}",
            "path": f"/orders-{n}/v1",
            "upstream": {"targets": [{"url": "http://orders.example:8080"}]},
        }
        | values
    )


def api(session: Session, *, team: Team | None = None, live: bool = False, plans: Any = (), **fields: Any) -> Api:
    """`document=…` or any of its fields may be given."""
    n = next(_n)
    owner = team or globals()["team"](session)
    slug, version = fields.pop("slug", f"orders-{n}"), fields.pop("version", "v1")
    text = fields.pop("document", None) or document(**fields)
    row = registry.create_api(session, owner, slug=slug, version=version, document=text, by=None)
    session.flush()
    registry.offer_plans(session, row, list(plans))
    if live:
        registry.publish(session, row, by=None, expected=row.draft_number)
    session.flush()
    return row


OPENAPI = b"""
openapi: 3.1.0
info: {title: Pets, version: '1'}
paths:
  /pets/{id}:
    get:
      operationId: show
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses:
        '200': {description: A pet, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
components:
  schemas: {Pet: {type: object, properties: {id: {type: integer}}}}
"""


def openapi_document(session: Session, data: bytes = OPENAPI) -> str:
    """Its hash, for `api(openapi=…)`."""
    return descriptions.keep(session, data, openapi.read(data)).sha256


def plan(session: Session, *, team: Team | None = None, **fields: Any) -> Plan:
    n = next(_n)
    values = {"slug": f"plan-{n}", "name": f"Plan {n}", "per_second": 10, "per_minute": 100} | fields
    row = registry.create_plan(session, team or globals()["team"](session), **values)
    session.flush()
    return row


def upstream_secret(session: Session, *, team: Team, vault: Vault | None = None, **fields: Any) -> UpstreamSecret:
    """A header whose value is `hush`, unless said otherwise. Without `vault`, nothing of the test's opens it."""
    values = {"name": f"secret-{next(_n)}", "kind": SecretKind.HEADER, "texts": {"value": "hush"}} | fields
    row = registry.store_secret(session, team, vault=vault or Vault(["k" * 40]), by=None, **values)
    session.flush()
    return row


def consumer(session: Session, *, team: Team | None = None, **fields: Any) -> Consumer:
    n = next(_n)
    values = {"slug": f"shop-{n}", "name": f"Shop {n}"} | fields
    row = registry.create_consumer(session, team or globals()["team"](session), **values)
    session.flush()
    return row


def subscription(session: Session, consumer: Consumer, api: Api, plan: Plan | None = None) -> Subscription:
    plan = plan or (api.plans[0] if api.plans else globals()["plan"](session, team=api.team))
    if plan not in api.plans:
        registry.offer_plans(session, api, [*api.plans, plan])
    row = registry.subscribe(session, consumer, api, plan, by=None)
    session.flush()
    return row


def key(session: Session, consumer: Consumer, **fields: Any) -> tuple[Key, registry.Token]:
    row, token = registry.issue(session, consumer, by=None, **fields)
    session.flush()
    return row, token
