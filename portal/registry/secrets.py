"""Secrets of upstreams: what targets ask of the gateway. Documents name one, nodes open it, nobody is shown it again.

A secret lives outside the releases: a replaced one is used at once, by every live API that names it.

| kind               | its texts              |
| ------------------ | ---------------------- |
| header             | `value`                |
| basic              | `user`, `password`     |
| client_certificate | `chain_pem`, `key_pem` |
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from secrets import token_hex

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import InUse, Invalid, NameTaken
from portal.registry import revision
from portal.registry.certificates import read_pair
from portal.registry.document import SLUG
from portal.registry.models import Api, Revision, SecretKind, UpstreamSecret
from portal.vault import Vault

TEXTS = {
    SecretKind.HEADER: ("value",),
    SecretKind.BASIC: ("user", "password"),
    SecretKind.CLIENT_CERTIFICATE: ("chain_pem", "key_pem"),
}
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 4_000
"""Characters of a header's value; targets refuse headers of more than 8 kB together."""
_LONGEST_PEM = 100_000


def store_secret(
    session: Session,
    team: Team,
    *,
    name: str,
    kind: SecretKind,
    texts: Mapping[str, str],
    vault: Vault,
    by: Person | None,
) -> UpstreamSecret:
    """Raises Invalid for a name or texts that cannot be used, NameTaken."""
    wrong = {} if SLUG.fullmatch(name) else {"name": "Use small letters, digits and dashes, such as orders-token."}
    try:
        checked, expires_at = _checked(kind, texts, utcnow())
    except Invalid as error:
        raise Invalid(wrong | error.fields) from None
    if wrong:
        raise Invalid(wrong)
    if session.scalar(select(UpstreamSecret.id).where(UpstreamSecret.team_id == team.id, UpstreamSecret.name == name)):
        raise NameTaken("name", f"{team.name} already has a secret {name}. Choose another name, or replace that one.")
    secret = UpstreamSecret(team=team, name=name, kind=kind, created_by=by)
    _seal(secret, checked, expires_at, vault)
    session.add(secret)
    revision.touch(session)  # a live release may wait for this very name
    return secret


def replace_secret(
    session: Session, secret: UpstreamSecret, *, texts: Mapping[str, str], vault: Vault, by: Person | None
) -> None:
    """The same name and kind with another value; gateways use it at once. Raises Invalid."""
    now = utcnow()
    checked, expires_at = _checked(secret.kind, texts, now)
    _seal(secret, checked, expires_at, vault)
    secret.replaced_at, secret.replaced_by = now, by
    revision.touch(session)


def delete_secret(session: Session, secret: UpstreamSecret) -> None:
    """For good. Raises InUse while the draft or the live release of an API names it."""
    session.execute(select(UpstreamSecret.id).where(UpstreamSecret.id == secret.id).with_for_update())
    # Nobody publishes a release that names it meanwhile: publishing takes its turn by the same row.
    session.execute(select(Revision.n).with_for_update())
    session.expire_all()
    users = users_of(session, secret)
    if users:
        several = len(users) > 1
        named = ", ".join(f"{api.slug} {api.version}" for api in users[:5]) + (", …" if len(users) > 5 else "")
        raise InUse(
            f"{secret.name} is named by {len(users)} {'APIs' if several else 'API'} ({named}). "
            f"Change {'their documents' if several else 'its document'}, and publish where it is live, first."
        )
    session.delete(secret)
    revision.touch(session)


def secrets_of(session: Session, team: Team) -> list[UpstreamSecret]:
    """By name."""
    return list(
        session.scalars(select(UpstreamSecret).where(UpstreamSecret.team_id == team.id).order_by(UpstreamSecret.name))
    )


def users_of(session: Session, secret: UpstreamSecret) -> list[Api]:
    """The team's APIs whose draft or live release names this secret."""
    return users_of_secrets(session, secret.team).get(secret.name, [])


def users_of_secrets(session: Session, team: Team) -> dict[str, list[Api]]:
    """Name of a secret -> the team's APIs whose draft or live release names it, by slug and version."""
    apis = session.scalars(
        select(Api)
        .where(Api.team_id == team.id)
        .options(selectinload(Api.live_release))
        .order_by(Api.slug, Api.version)
    )
    found: dict[str, list[Api]] = {}
    for api in apis:
        for name in _names_in(api):
            found.setdefault(name, []).append(api)
    return found


def _names_in(api: Api) -> set[str]:
    documents = [api.draft] + ([api.live_release.document] if api.live_release else [])
    wanted = (document["upstream"].get("credential") for document in documents)
    return {credential["secret"] for credential in wanted if credential}


def open_secret(sealed: bytes, vault: Vault) -> dict[str, str]:
    """The texts of a secret: for nodes alone. Raises vault.Unreadable."""
    texts: dict[str, str] = json.loads(vault.open(sealed))
    return texts


def _seal(secret: UpstreamSecret, texts: Mapping[str, str], expires_at: datetime | None, vault: Vault) -> None:
    secret.sealed = vault.seal(json.dumps(dict(texts)).encode())
    secret.edition = token_hex(8)
    secret.expires_at = expires_at


def _checked(kind: SecretKind, texts: Mapping[str, str], now: datetime) -> tuple[dict[str, str], datetime | None]:
    given = {name: texts.get(name, "") for name in TEXTS[kind]}
    if kind is SecretKind.CLIENT_CERTIFICATE:
        if too_long := [name for name, text in given.items() if len(text) > _LONGEST_PEM]:
            raise Invalid({name: f"At most {_LONGEST_PEM:,} characters fit here." for name in too_long})
        pair = read_pair(given["chain_pem"], given["key_pem"], now=now)
        return {"chain_pem": pair.chain_pem, "key_pem": pair.key_pem}, pair.expires_at
    wrong = _wrong_header(given) if kind is SecretKind.HEADER else _wrong_basic(given)
    if wrong:
        raise Invalid(wrong)
    return given, None


def _wrong_header(given: dict[str, str]) -> dict[str, str]:
    if not given["value"]:
        return {"value": "Give the value that the header carries."}
    if len(given["value"]) > _LONGEST:
        return {"value": f"At most {_LONGEST:,} characters fit here."}
    if not _VISIBLE.fullmatch(given["value"]):
        return {"value": "A header holds one line of letters, digits and signs of ASCII, without spaces around."}
    return {}


def _wrong_basic(given: dict[str, str]) -> dict[str, str]:
    """RFC 7617: no colon in the name, no control characters in either; UTF-8."""
    wrong = {name: "This must not hold control characters." for name, text in given.items() if _CONTROL.search(text)}
    wrong |= {
        name: f"At most {_LONGEST // 4:,} characters fit here." for name, text in given.items() if len(text) > 1000
    }
    if ":" in given["user"]:
        wrong["user"] = "A name for Basic holds no colon."
    if not given["user"] and not given["password"]:
        wrong["user"] = "Give a name, a password, or both."
    return wrong
