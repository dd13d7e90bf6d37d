"""The keys that tokens are verified with, where an API's document names their address: fetched again and again.

The worker does it, once for each address (`reading/token_keys.py`). Nodes compile in what was fetched last, and the
last good set stays.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Text, cast, delete, func, or_, select, update
from sqlalchemy.orm import Session

from portal import jobs
from portal.db import utcnow
from portal.registry import revision
from portal.registry.document import Document, read_document
from portal.registry.jwks import KeySet, PublicKey, read_jwks
from portal.registry.models import Api, Release, TokenKeys

KIND = "fetch_token_keys"
"""Of the periodic job."""
EVERY = timedelta(minutes=1)
FRESH = timedelta(minutes=5)
"""How old a good set gets before it is fetched again. Issuers publish a key well before they sign with it."""
AT_ONCE = 20
"""Addresses of one turn: a claim of the job holds for five minutes."""
_NAMED = '%"jwks_url"%'


def ask(session: Session, document: Document) -> None:
    """To be said wherever a document is stored: keys that it names should be there before its first call."""
    jwt = document.authentication.jwt
    if jwt is not None and jwt.jwks_url is not None:
        jobs.hasten(session, KIND, now=utcnow())


def fetch_again(session: Session, api: Api) -> bool:
    """Have the worker fetch this API's keys now; False where no worker has ever run."""
    session.execute(update(TokenKeys).where(TokenKeys.api_id == api.id).values(tried_at=None))
    return jobs.hasten(session, KIND, now=utcnow())


def settle(session: Session) -> None:
    """One row for each address that an API's draft or live release names, and no other."""
    wanted = set[tuple[int, str]]()
    drafts = select(Api.id, Api.draft).where(cast(Api.draft, Text).like(_NAMED))
    live = select(Api.id, Release.document).join(Release, Release.id == Api.live_release_id)
    for statement in (drafts, live.where(cast(Release.document, Text).like(_NAMED))):
        for api_id, values in session.execute(statement):
            jwt = (values.get("authentication") or {}).get("jwt") or {}
            if jwt.get("jwks_url"):
                wanted.add((api_id, jwt["jwks_url"]))
    stored = {(row.api_id, row.url) for row in session.execute(select(TokenKeys.api_id, TokenKeys.url))}
    for api_id, url in sorted(stored - wanted):
        session.execute(delete(TokenKeys).where(TokenKeys.api_id == api_id, TokenKeys.url == url))
    session.add_all(TokenKeys(api_id=api_id, url=url) for api_id, url in sorted(wanted - stored))


def due(session: Session, *, now: datetime) -> list[str]:
    """Addresses that are to be fetched: new ones first, then those that were tried longest ago."""
    stale = or_(
        TokenKeys.tried_at.is_(None),
        (TokenKeys.problem != "") & (TokenKeys.tried_at <= now - EVERY + timedelta(seconds=10)),
        TokenKeys.tried_at <= now - FRESH,
    )
    first = func.min(func.coalesce(TokenKeys.tried_at, datetime.fromtimestamp(0, now.tzinfo)))
    rows = select(TokenKeys.url).where(stale).group_by(TokenKeys.url).order_by(first, TokenKeys.url)
    return list(session.scalars(rows.limit(AT_ONCE)))


def keep(session: Session, url: str, got: KeySet | str, *, now: datetime) -> bool:
    """For every API that names `url`; whether nodes have something new."""
    changed = False
    for row in session.scalars(select(TokenKeys).where(TokenKeys.url == url).order_by(TokenKeys.api_id)):
        row.tried_at = now
        if isinstance(got, str):
            row.problem = got
            continue
        row.problem, row.fetched_at, row.left_out = "", now, list(got.left_out)
        if row.jwks != got.text:
            row.jwks = got.text
            changed = True
    if changed:
        revision.touch(session)
    return changed


@dataclass(frozen=True, slots=True)
class TokenKeysState:
    """What an API's tokens are verified with, as people see it."""

    issuer: str
    audiences: tuple[str, ...]
    claim: str
    url: str
    """Empty where the keys were pasted."""
    keys: tuple[PublicKey, ...]
    left_out: tuple[str, ...]
    fetched_at: datetime | None
    tried_at: datetime | None
    problem: str
    of_draft: bool
    """Whether only the draft takes tokens."""

    @property
    def is_awaited(self) -> bool:
        return bool(self.url) and self.tried_at is None


def state_of(session: Session, api: Api) -> TokenKeysState | None:
    """Of the live release, or of the draft where that takes no tokens; None where neither does."""
    for release in (api.live_release, None):
        jwt = read_document(release.document if release else api.draft).authentication.jwt
        if jwt is None:
            continue
        row = session.get(TokenKeys, (api.id, jwt.jwks_url)) if jwt.jwks_url else None
        return TokenKeysState(
            issuer=jwt.issuer,
            audiences=jwt.audiences,
            claim=jwt.claim,
            url=jwt.jwks_url or "",
            keys=_keys(jwt.jwks or (row.jwks if row else "")),
            left_out=tuple(row.left_out) if row else (),
            fetched_at=row.fetched_at if row else None,
            tried_at=row.tried_at if row else None,
            problem=row.problem if row else "",
            of_draft=release is None,
        )
    return None


def _keys(text: str) -> tuple[PublicKey, ...]:
    return read_jwks(text).keys if text else ()


def failing(session: Session) -> list[tuple[str, str]]:
    """Addresses of live releases that bring nothing, with the sentence why."""
    rows = (
        select(TokenKeys.url, func.min(TokenKeys.problem))
        .join(Api, Api.id == TokenKeys.api_id)
        .where(TokenKeys.problem != "", Api.live_release_id.is_not(None), Api.retired_at.is_(None))
        .group_by(TokenKeys.url)
        .order_by(TokenKeys.url)
    )
    return [(url, problem) for url, problem in session.execute(rows)]
