"""What waits for a decision, what was decided, and what nobody calls: what the pages of Approvals read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased, selectinload

from portal.accounts import Membership, Permission, Person, Role, Team
from portal.accounts.rights import BY_ROLE
from portal.registry.models import APPLICATION, IN_USE, Api, Approval, ApprovalState, Consumer, Subscription
from portal.traffic.callers import LOOKED_BACK, days_since
from portal.traffic.models import ByConsumerOperation
from portal.web.lists import has


def waiting(session: Session, consumer: Consumer) -> dict[int, Approval]:
    """What is asked for the consumer's subscriptions and not decided, by the number of the subscription."""
    rows = (
        select(Approval)
        .join(Approval.subscription)
        .where(Subscription.consumer_id == consumer.id, Approval.state == ApprovalState.WAITING)
        .options(selectinload(Approval.plan))
    )
    return {each.subscription_id: each for each in session.scalars(rows)}


def decided_by(person: Person) -> ColumnElement[bool]:
    """APIs about whose use the person decides, as a condition on `Api`."""
    if person.acts_as_administrator:
        return true()
    roles = [role for role in Role if Permission.DECIDE in BY_ROLE[role]]
    own = select(Membership.team_id).where(Membership.person_id == person.id, Membership.role.in_(roles))
    return Api.team_id.in_(own)


def approvals(person: Person, *, q: str, states: Collection[ApprovalState], api: str = "") -> Select[Approval]:
    """What was asked of teams for which the person decides; `api` is a label, or "" for any."""
    owner, asking = aliased(Team), aliased(Team)
    rows = (
        select(Approval)
        .join(Approval.subscription)
        .join(Subscription.api)
        .join(owner, owner.id == Api.team_id)
        .join(Consumer, Consumer.id == Subscription.consumer_id)
        .join(asking, asking.id == Consumer.team_id)
        .where(Approval.state.in_(states), decided_by(person))
        .options(
            selectinload(Approval.plan),
            selectinload(Approval.decided_by),
            selectinload(Approval.subscription).selectinload(Subscription.plan),
            selectinload(Approval.subscription).selectinload(Subscription.api).selectinload(Api.team),
            selectinload(Approval.subscription).selectinload(Subscription.consumer).selectinload(Consumer.team),
        )
    )
    if api:
        team, _, rest = api.partition("/")
        slug, _, version = rest.partition("/")
        rows = rows.where(owner.slug == team, Api.slug == slug, Api.version == version)
    return rows.where(or_(has(Consumer.name, q), has(Api.name, q), has(asking.name, q))) if q else rows


def count_waiting(session: Session, person: Person, most: int) -> int:
    """How many requests wait for the person's decision, counted up to `most`: it is asked on every page."""
    waiting = (
        select(Approval.id)
        .join(Approval.subscription)
        .join(Subscription.api)
        .where(Approval.state == literal_column("'waiting'"), decided_by(person))
        .limit(most)
    )
    return session.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def unused(session: Session, person: Person, *, days: int, q: str, now: datetime) -> Select[Subscription]:
    """Subscriptions to APIs for which the person decides that have gone on for so many days without a call."""
    since = now - timedelta(days=days)
    owner, using = aliased(Team), aliased(Team)
    apis = session.scalars(select(Api.id).where(decided_by(person), Api.live_release_id.is_not(None))).all()
    called = select(ByConsumerOperation.api_id, ByConsumerOperation.consumer_id).where(
        # One by one, so that the index goes on to the API; to tomorrow, since the clocks of nodes differ.
        ByConsumerOperation.at.in_(days_since(since, now)),
        ByConsumerOperation.api_id.in_(apis),
    )
    rows = (
        select(Subscription)
        .join(Subscription.api)
        .join(owner, owner.id == Api.team_id)
        .join(Consumer, Consumer.id == Subscription.consumer_id)
        .join(using, using.id == Consumer.team_id)
        .where(
            IN_USE,
            APPLICATION,
            Subscription.api_id.in_(apis),
            Subscription.starts_at <= since,
            tuple_(Subscription.api_id, Subscription.consumer_id).not_in(called),
        )
        .options(
            selectinload(Subscription.plan),
            selectinload(Subscription.api).selectinload(Api.team),
            selectinload(Subscription.consumer).selectinload(Consumer.team),
        )
    )
    return rows.where(or_(has(Consumer.name, q), has(Api.name, q), has(using.name, q))) if q else rows


def count_used(session: Session, person: Person) -> int:
    """Subscriptions that are in use, to published APIs for which the person decides."""
    rows = select(func.count()).select_from(Subscription).join(Subscription.api)
    return session.scalar(rows.where(IN_USE, decided_by(person), Api.live_release_id.is_not(None))) or 0


@dataclass(frozen=True, slots=True)
class Calls:
    count: int
    last: datetime
    """The minute of the last one."""


def calls_of(session: Session, subscriptions: Collection[Subscription], *, now: datetime) -> dict[int, Calls]:
    """Calls of each subscription's consumer to its API in the last 30 days, also those that were refused; who has not
    called is left out."""
    table = ByConsumerOperation
    wanted = {(each.api_id, each.consumer_id): each.id for each in subscriptions}
    rows = session.execute(
        select(table.api_id, table.consumer_id, func.sum(table.calls), func.max(table.last_at))
        .where(
            table.at.in_(days_since(now - LOOKED_BACK, now)),
            table.api_id.in_({each.api_id for each in subscriptions}),
            table.consumer_id.in_({each.consumer_id for each in subscriptions}),
        )
        .group_by(table.api_id, table.consumer_id)
    )
    return {
        wanted[api_id, consumer_id]: Calls(int(count), datetime.fromtimestamp(last, UTC))
        for api_id, consumer_id, count, last in rows
        if (api_id, consumer_id) in wanted
    }
