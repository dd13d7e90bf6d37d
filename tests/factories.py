"""Rows for tests. A test names only what it is about; everything else is plausible and different each time."""

import itertools
from typing import Any

from sqlalchemy.orm import Session

from portal import accounts, openapi, registry
from portal.accounts import Person, Role, Team
from portal.notify import channels
from portal.notify.models import Channel, ChannelKind
from portal.registry import descriptions, imports
from portal.registry.models import (
    Api,
    Approval,
    Consumer,
    Import,
    ImportSource,
    Key,
    Plan,
    SecretKind,
    Subscription,
    UpstreamSecret,
)
from portal.registry.understanding import understand
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
    approval = values.pop("approval", False)
    row = registry.create_plan(session, team or globals()["team"](session), **values)
    row.approval = approval
    session.flush()
    return row


def channel(session: Session, *, team: Team, vault: Vault | None = None, **fields: Any) -> Channel:
    """A webhook, unless said otherwise, that nothing listens at."""
    n = next(_n)
    values: dict[str, Any] = {
        "name": f"channel-{n}",
        "kind": ChannelKind.WEBHOOK,
        "url": "http://127.0.0.1:1/hook",
        "shown": "http://127.0.0.1:1",
        "events": ["key.expiring"],
    }
    made, _secret = channels.create_channel(session, team, vault=vault or Vault(["k" * 40]), by=None, **values | fields)
    session.flush()
    return made


def upstream_secret(session: Session, *, team: Team, vault: Vault | None = None, **fields: Any) -> UpstreamSecret:
    """A header whose value is `hush`, unless said otherwise. Without `vault`, nothing of the test's opens it."""
    values = {"name": f"secret-{next(_n)}", "kind": SecretKind.HEADER, "texts": {"value": "hush"}} | fields
    row = registry.store_secret(session, team, vault=vault or Vault(["k" * 40]), by=None, **values)
    session.flush()
    return row


PETS = b"""\
openapi: 3.1.0
info: {title: Pets, version: 1.2.0, description: All about pets.}
servers: [{url: https://pets.example/v1}]
tags: [{name: pets}]
paths:
  /pets:
    get: {operationId: listPets, tags: [pets], responses: {'200': {description: Pets}}}
    post: {operationId: addPet, tags: [pets], responses: {'201': {description: It is there}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Pets}}
"""


def imported(session: Session, *, team: Team | None = None, api: Api | None = None, data: bytes = PETS) -> Import:
    """One that is ready: for a new API, or for `api`."""
    owner = api.team if api else team or globals()["team"](session)
    digest = api.draft.get("openapi") if api else None
    base = descriptions.bytes_of(session, digest) if digest else None
    row = imports.begin(session, owner, api=api, source=ImportSource.PASTE, source_name="", size=len(data), by=None)
    imports.finish(session, row, understand(data, base), compared_with=digest)
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


def approval(session: Session, consumer: Consumer, api: Api, **said: Any) -> Approval:
    """What a consumer asks of an API under a plan that wants approval, and waits."""
    wanted = said.pop("plan", None) or plan(session, team=api.team, approval=True)
    if wanted not in api.plans:
        registry.offer_plans(session, api, [*api.plans, wanted])
    values = {"by": None, "purpose": "Show orders to customers."} | said
    subscription = registry.subscribe(session, consumer, api, wanted, **values)
    session.flush()
    return subscription.approvals[0]


def key(session: Session, consumer: Consumer, **fields: Any) -> tuple[Key, registry.Token]:
    row, token = registry.issue(session, consumer, by=None, **fields)
    session.flush()
    return row, token
