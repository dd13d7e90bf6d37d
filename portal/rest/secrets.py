"""Upstream secrets of a team: stored, replaced, deleted, never told."""

from typing import Annotated

from flask import current_app
from pydantic import Field
from sqlalchemy.orm import Session

from portal import config_of, registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.consumers import hold
from portal.registry.models import SecretKind, UpstreamSecret
from portal.registry.secrets import TEXTS
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Paging, Slug, Told
from portal.vault import Vault
from portal.web import lists as pages
from portal.web.guards import a_secret, a_team, me

route = tagged("Upstream secrets")


class SecretAnswer(Told):
    """What may be known of a secret. Its texts are opened by gateways alone."""

    team: str
    name: str
    kind: SecretKind
    created_at: Instant
    replaced_at: Instant | None
    expires_at: Instant | None
    """When a client certificate ends."""


class Secrets(Listed):
    items: list[SecretAnswer]


_Text = Annotated[str, Field(max_length=100_000, json_schema_extra={"writeOnly": True})]


class SecretTexts(Asked):
    """Those that belong to the kind: `value` (header), `user` and `password` (basic), `chain_pem` and `key_pem`
    (client_certificate)."""

    value: _Text | None = None
    user: _Text | None = None
    password: _Text | None = None
    chain_pem: _Text | None = None
    key_pem: _Text | None = None


class NewSecret(SecretTexts):
    name: Slug
    kind: SecretKind


def _texts(body: SecretTexts, kind: SecretKind) -> dict[str, str]:
    """Raises Invalid for those of another kind."""
    names = [name for name in SecretTexts.model_fields if getattr(body, name) is not None]
    wrong = [name for name in names if name not in TEXTS[kind]]
    if wrong:
        raise Invalid({name: f"A secret of the kind {kind} has {' and '.join(TEXTS[kind])}." for name in wrong})
    return {name: getattr(body, name).strip() if name != "password" else getattr(body, name) for name in names}


def shown(secret: UpstreamSecret) -> SecretAnswer:
    return SecretAnswer(
        team=secret.team.slug,
        name=secret.name,
        kind=secret.kind,
        created_at=secret.created_at,
        replaced_at=secret.replaced_at,
        expires_at=secret.expires_at,
    )


_state = state_of(shown, hold)


def _vault() -> Vault:
    return Vault.of(config_of(current_app))


@route("GET", "/teams/<team>/secrets", Permission.SEE_APIS, a_team, scope=Scope.READ, query=Paging, answer=Secrets)
def index(session: Session, team: Team, query: Paging) -> Secrets:
    """Secrets of a team, by name."""
    found, following = lists.by_name(session, pages.secrets(team), UpstreamSecret.name, UpstreamSecret.id, query)
    return Secrets(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    "/teams/<team>/secrets",
    Permission.MANAGE_APIS,
    a_team,
    scope=Scope.APIS,
    body=NewSecret,
    answer=SecretAnswer,
    creates=True,
)
def store(session: Session, team: Team, body: NewSecret) -> Answer:
    """Store a secret. Documents name it in `upstream.credential`."""
    texts = _texts(body, body.kind)
    secret = registry.store_secret(session, team, name=body.name, kind=body.kind, texts=texts, vault=_vault(), by=me())
    session.flush()
    return Answer(shown(secret), location=f"/teams/{team.slug}/secrets/{secret.name}")


@route(
    "GET",
    "/teams/<team>/secrets/<secret>",
    Permission.SEE_APIS,
    a_secret,
    scope=Scope.READ,
    answer=SecretAnswer,
    etag=True,
)
def show(session: Session, secret: UpstreamSecret) -> SecretAnswer:
    """One secret, without its texts."""
    return shown(secret)


@route(
    "PUT",
    "/teams/<team>/secrets/<secret>",
    Permission.MANAGE_APIS,
    a_secret,
    scope=Scope.APIS,
    body=SecretTexts,
    answer=SecretAnswer,
    etag=True,
    match=_state,
)
def replace(session: Session, secret: UpstreamSecret, body: SecretTexts) -> SecretAnswer:
    """Give a secret another value. Gateways use it within a second, wherever it is named."""
    texts = _texts(body, secret.kind)
    registry.replace_secret(session, secret, texts=texts, vault=_vault(), by=me())
    session.flush()
    return shown(secret)


@route("DELETE", "/teams/<team>/secrets/<secret>", Permission.MANAGE_TEAM, a_secret, scope=Scope.APIS, match=_state)
def delete(session: Session, secret: UpstreamSecret) -> None:
    """Delete a secret that no draft and no live release names (409)."""
    registry.delete_secret(session, secret)
