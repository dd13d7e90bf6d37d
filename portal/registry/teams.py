"""What a team owns, what of others hangs on it, and its end."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from portal.accounts import hold_team
from portal.accounts.models import Team
from portal.errors import Conflict
from portal.notify.models import Channel
from portal.registry import revision
from portal.registry.apis import delete_api
from portal.registry.consumers import Loss, delete_consumer, guests, losses
from portal.registry.models import APPLICATION, Api, Consumer, Plan, Subscription, UpstreamSecret
from portal.registry.plans import delete_plan


@dataclass(frozen=True, slots=True)
class Estate:
    """What goes with a team. Things are in the order of their numbers."""

    apis: list[Api]
    consumers: list[Consumer]
    plans: list[Plan]
    secrets: list[UpstreamSecret]
    channels: list[Channel]
    guests: list[Subscription]
    """Current uses of its APIs by other teams' consumers."""

    @property
    def mark(self) -> str:
        """Another one as soon as something comes, goes, or is published: what somebody looked at before they agreed."""
        seen: list[Any] = [[(api.id, api.live_release_id is not None) for api in self.apis]]
        owned: tuple[Sequence[Any], ...] = (self.consumers, self.plans, self.secrets, self.channels, self.guests)
        seen += [[each.id for each in things] for things in owned]
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


def belongings(session: Session, team: Team) -> dict[str, int]:
    """How many of each kind of thing the team owns; kinds of which it has none are left out."""
    counted = {
        word: session.scalar(select(func.count()).where(kind.team_id == team.id, *only)) or 0
        for word, kind, only in (
            ("API", Api, ()),
            ("plan", Plan, ()),
            ("consumer", Consumer, (APPLICATION,)),
            ("upstream secret", UpstreamSecret, ()),
        )
    }
    return {word: count for word, count in counted.items() if count}


def estate(session: Session, team: Team) -> Estate:
    """Raises Conflict for a personal team, which goes with its person only."""
    if team.is_personal:
        raise Conflict(f"{team.name} is a personal team. It stays as long as the person does.")
    return _estate(session, team)


def delete_team(session: Session, team: Team, *, expected: str | None = None) -> list[Loss]:
    """For good, with its memberships and all that it owns; what other teams lose by it, which they are to be told.

    `expected` is the mark of the estate that was looked at. Raises Conflict when it has changed since, and for a
    personal team; NotFound when somebody else has deleted the team meanwhile.
    """
    _hold(session, team)
    found = estate(session, team)
    if expected is not None and expected != found.mark:
        raise Conflict(
            f"What goes with {team.name} has changed since you opened this page. Nothing was deleted. "
            "What would go now is above; look at it, then confirm again."
        )
    lost = losses(found.guests)
    for consumer in found.consumers:
        delete_consumer(session, consumer)
    for api in found.apis:
        delete_api(session, api)
    session.flush()  # plans and secrets go after what names them
    for plan in found.plans:
        delete_plan(session, plan)
    for secret in found.secrets:
        session.delete(secret)
    for channel in found.channels:
        session.delete(channel)
    session.flush()  # the team goes after what it owns
    session.delete(team)
    revision.touch(session)
    return lost


def _hold(session: Session, team: Team) -> None:
    """Nothing comes to the estate until the commit: on PostgreSQL whoever adds to it waits, and then finds it gone."""
    hold_team(session, team)
    owned = {kind: select(kind.id).where(kind.team_id == team.id) for kind in (Consumer, Api, Plan)}
    for kind, ids in owned.items():  # in the order in which a new subscription holds them
        session.execute(ids.order_by(kind.id).with_for_update())
    # All at once and by number: two teams that use each other's APIs may end at the same moment.
    session.execute(
        select(Subscription.id)
        .where(or_(Subscription.consumer_id.in_(owned[Consumer]), Subscription.api_id.in_(owned[Api])))
        .order_by(Subscription.id)
        .with_for_update()
    )


def _estate(session: Session, team: Team) -> Estate:
    apis = list(session.scalars(_of(Api, team).options(selectinload(Api.live_release))))
    return Estate(
        apis=apis,
        consumers=list(session.scalars(_of(Consumer, team))),
        plans=list(session.scalars(_of(Plan, team))),
        secrets=list(session.scalars(_of(UpstreamSecret, team))),
        channels=list(session.scalars(_of(Channel, team))),
        guests=guests(session, apis),
    )


def _of(kind: Any, team: Team) -> Any:
    return select(kind).where(kind.team_id == team.id).options(joinedload(kind.team)).order_by(kind.id)
