"""What pages show of operations that calls have the names of."""

from collections.abc import Iterable
from dataclasses import dataclass

from flask import current_app, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.registry.models import Api, Operation, Release

_AT_ONCE = 500
_FAR_BACK = 20
"""Releases whose documents are asked for names that the live one has not."""


@dataclass(frozen=True, slots=True)
class NamedOperation:
    name: str
    method: str | None
    """None, as `path`, where no release that was asked knows it any more."""
    path: str | None
    summary: str
    is_live: bool
    """Whether the live release has it."""
    docs_url: str | None

    @classmethod
    def unknown(cls, name: str) -> "NamedOperation":
        return cls(name, None, None, "", False, None)


def are_described(api: Api) -> bool:
    """Whether the live release has an OpenAPI document."""
    return api.live_release is not None and bool(api.live_release.document.get("openapi"))


def is_described(session: Session, api_id: int, release: int) -> bool:
    """Whether that release has, or had, an OpenAPI document."""
    digest = Release.document["openapi"].as_string()
    return session.scalar(select(digest).where(Release.api_id == api_id, Release.number == release)) is not None


def name_operations(session: Session, api: Api, names: Iterable[str]) -> dict[str, NamedOperation]:
    """Every name gets one, told as the live release describes it, else as the newest that does."""
    left = set(names)
    found: dict[str, NamedOperation] = {}
    live = api.live_release.document.get("openapi") if api.live_release is not None else None
    for digest in _digests(session, api, live):
        for operation in _named(session, digest, left):
            found[operation.name] = NamedOperation(
                operation.name,
                operation.method,
                operation.path,
                operation.summary,
                digest == live,
                docs_url(api, operation.name) if digest == live else None,
            )
        left -= found.keys()
        if not left:
            break
    return found | {name: NamedOperation.unknown(name) for name in left}


def docs_url(api: Api, name: str) -> str | None:
    if "docs.operation" not in current_app.view_functions:
        return None
    return url_for("docs.operation", team=api.team.slug, slug=api.slug, version=api.version, operation=name)


def _digests(session: Session, api: Api, live: str | None) -> Iterable[str]:
    if live:
        yield live
    older = session.scalars(
        select(Release.document["openapi"].as_string())
        .where(Release.api_id == api.id)
        .order_by(Release.number.desc())
        .limit(_FAR_BACK)
    ).all()
    yield from (digest for digest in dict.fromkeys(older) if digest and digest != live)


def _named(session: Session, digest: str, names: set[str]) -> Iterable[Operation]:
    ordered = sorted(names)
    for first in range(0, len(ordered), _AT_ONCE):
        yield from session.scalars(
            select(Operation).where(Operation.sha256 == digest, Operation.name.in_(ordered[first : first + _AT_ONCE]))
        )
