"""Live settings of an API that its files hold beside its document: one line each, here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.errors import Invalid
from portal.registry import apis, categories, lifecycle, visibility
from portal.registry.installation.words import ApiReference, Instant, Slug, Text
from portal.registry.models import Api, Category, Visibility
from portal.registry.plans import MOST_A_SECOND


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    """In the files."""
    kind: Any
    """As pydantic takes it; see `words.py`. Collections are tuples in a stable order."""
    default: Any
    """What a file means that leaves it out."""
    read: Callable[[Api], Any]
    write: Callable[[Session, Api, Any], None]
    """Called for a value that is another one than `read` gives, when every API of the files is there."""
    only_live: bool = False
    """Whether it means something for published APIs alone; drafts have its default."""


class Deprecation(BaseModel):
    """What callers of a deprecated API are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Instant
    sunset: Instant | None = None
    successor: ApiReference | None = None
    message: Annotated[Text, Field(max_length=lifecycle.LONGEST_MESSAGE)] = ""

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> "Deprecation":
        if self.sunset is not None and self.sunset < self.since:
            raise ValueError("It cannot end before it is deprecated. Give a later time.")
        return self


def _sorted(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


def _utc(instant: datetime | None) -> datetime | None:
    """PostgreSQL answers in the zone of its connection."""
    return instant and instant.astimezone(UTC)


def _pause(session: Session, api: Api, paused: bool) -> None:
    (apis.pause if paused else apis.resume)(session, api)


def _limit(session: Session, api: Api, rate: int | None) -> None:
    apis.limit_api(session, api, overall_per_second=rate)


def _show_to(session: Session, api: Api, wanted: Visibility) -> None:
    visibility.set_visibility(session, api, wanted, api.viewers)


def _choose(session: Session, api: Api, slugs: tuple[str, ...]) -> None:
    teams = list(session.scalars(select(Team).where(Team.slug.in_(slugs))))
    if missing := set(slugs) - {team.slug for team in teams}:
        raise Invalid({"viewers": f"There is no team {min(missing)}. Correct the name, or add it to the files."})
    visibility.set_visibility(session, api, api.visibility, teams)


def _deprecated(api: Api) -> Deprecation | None:
    if api.deprecated_at is None:
        return None
    return Deprecation.model_construct(
        since=api.deprecated_at.astimezone(UTC),
        sunset=_utc(api.sunset_at),
        successor=api.successor.label if api.successor is not None else None,
        message=api.deprecation_message,
    )


def _deprecate(session: Session, api: Api, wanted: Deprecation | None) -> None:
    if wanted is None:
        lifecycle.revive(session, api)
        lifecycle.withdraw_deprecation(session, api)
        return
    successor = None
    if wanted.successor is not None:
        team, slug, version = wanted.successor.split("/")
        successor = session.scalar(
            select(Api).join(Api.team).where(Team.slug == team, Api.slug == slug, Api.version == version)
        )
        if successor is None:
            raise Invalid({"deprecated.successor": f"There is no API {wanted.successor}. Correct the name."})
    lifecycle.deprecate(
        session, api, at=wanted.since, sunset_at=wanted.sunset, successor=successor, message=wanted.message
    )


def _retire(session: Session, api: Api, at: datetime | None) -> None:
    if at is None:
        lifecycle.revive(session, api)
    else:
        lifecycle.retire(session, api, at=at)


def _close(session: Session, api: Api, closed: bool) -> None:
    (lifecycle.close if closed else lifecycle.reopen)(session, api)


def _categorise(session: Session, api: Api, slug: str | None) -> None:
    category = None if slug is None else session.scalar(select(Category).where(Category.slug == slug))
    if slug is not None and category is None:
        raise Invalid({"category": f"There is no category {slug}. Correct the name, or add it to the files."})
    categories.set_category(session, api, category)


SETTINGS: tuple[Setting, ...] = (
    Setting("paused", bool, False, lambda api: api.paused, _pause, only_live=True),
    # Before the visibility: what is shown to chosen teams is shown to nobody else in between.
    Setting(
        "viewers",
        Annotated[tuple[Slug, ...], AfterValidator(_sorted)],
        (),
        lambda api: tuple(sorted(team.slug for team in api.viewers)),
        _choose,
    ),
    Setting("visibility", Visibility, Visibility.SIGNED_IN, lambda api: api.visibility, _show_to),
    Setting("category", Slug | None, None, lambda api: api.category.slug if api.category else None, _categorise),
    Setting(
        "overall_per_second",
        Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None,
        None,
        lambda api: api.overall_per_second,
        _limit,
    ),
    Setting("closed", bool, False, lambda api: api.closed, _close, only_live=True),
    Setting("deprecated", Deprecation | None, None, _deprecated, _deprecate, only_live=True),
    # After the deprecation, without which nothing is retired.
    Setting("retired", Instant | None, None, lambda api: _utc(api.retired_at), _retire, only_live=True),
)
