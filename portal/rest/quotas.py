"""How much of its quotas a subscription has used."""

from datetime import date

from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.models import Subscription
from portal.registry.periods import Period
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Told
from portal.traffic.allowances import Allowance
from portal.web import quotas
from portal.web.guards import a_subscription

route = tagged("Subscriptions")


class RunsOut(Told):
    on: date | None
    """null where it lasts until it begins anew."""
    days: int
    """So many whole days it is judged by: with 7 each weekday by the last one, with fewer by their mean."""


class Quota(Told):
    period: Period
    calls: int
    """The quota."""
    used: int | None
    """Calls that reached the upstream. null where it is not known."""
    counted_since: date | None
    """Where that is later than the period began: more may have been used."""
    begins_anew_at: Instant
    runs_out: RunsOut | None
    """If calls go on as they did. null for a day, for what is used up, and while no whole day is known."""


class Quotas(Told):
    blocked_until: Instant | None
    """While a quota is used up; a time that has passed blocks nothing."""
    timezone: str
    items: list[Quota]
    """Empty where the plan has none."""


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>/quotas",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.READ,
    answer=Quotas,
)
def show(session: Session, subscription: Subscription) -> Quotas:
    """The quotas of a subscription's plan, and how much of them is used. Calls are counted a second after they end."""
    return Quotas(
        blocked_until=subscription.blocked_until,
        timezone=quotas.zone_name(),
        items=[_told(each) for each in quotas.of(session, [subscription]).get(subscription.id, [])],
    )


def _told(allowance: Allowance) -> Quota:
    ahead = allowance.forecast
    return Quota(
        period=allowance.period,
        calls=allowance.quota,
        used=allowance.used,
        counted_since=allowance.since,
        begins_anew_at=allowance.begins_anew,
        runs_out=RunsOut(on=ahead.runs_out_on, days=ahead.days) if ahead is not None else None,
    )
