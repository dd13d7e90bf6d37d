"""Plans: limits, quotas, terms. A change is live at once, for everybody who has the plan."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.db import utcnow
from portal.errors import InUse, Invalid, NameTaken
from portal.registry import quotas, revision
from portal.registry.consumers import hold
from portal.registry.document import SLUG
from portal.registry.models import Approval, Plan, Subscription

MOST_A_SECOND = 1_000_000
MOST_A_MINUTE = 60_000_000
MOST_A_DAY = 1_000_000_000_000
MOST_A_MONTH = 31_000_000_000_000
LONGEST_PRICE = 120
LONGEST_TERMS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanValues:
    """All that a plan says. A limit or quota of None does not exist."""

    name: str
    description: str = ""
    per_second: int | None = None
    per_second_burst: int | None = None
    per_minute: int | None = None
    per_minute_burst: int | None = None
    quota_day: int | None = None
    quota_month: int | None = None
    approval: bool = False
    terms: str = ""
    price: str = ""
    public: bool = True
    chosen: Collection[Team] = ()
    """Counts where it is not public; the plan's own team need not be among them."""

    @classmethod
    def of(cls, plan: Plan) -> "PlanValues":
        return cls(**{name: getattr(plan, name) for name in cls.__slots__})

    def as_dict(self) -> dict[str, Any]:
        """As the verbs take them. Not `asdict`, which would copy the teams."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def limits(self) -> tuple[int | None, ...]:
        """What the gateway's limit filter is made of."""
        return self.per_second, self.per_second_burst, self.per_minute, self.per_minute_burst

    @property
    def quotas(self) -> tuple[int | None, int | None]:
        return self.quota_day, self.quota_month


def create_plan(session: Session, team: Team, *, slug: str, **values: Any) -> Plan:
    """`values` are those of PlanValues. Raises Invalid for what makes no sense, NameTaken."""
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as gold."})
    if session.scalar(select(Plan.id).where(Plan.team_id == team.id, Plan.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a plan {slug}. Choose another slug.")
    plan = Plan(team=team, slug=slug)
    _fill(plan, team, checked(PlanValues(**values)))
    session.add(plan)
    return plan


def change_plan(session: Session, plan: Plan, *, zone: tzinfo, now: datetime | None = None, **values: Any) -> None:
    """`values` are those of PlanValues, all of them. Changed limits refill the counters of every subscription of the
    gateway once. Changed quotas block at once who has used more, and let go on at once who has not.

    `zone` is that of the installation's quotas. Raises Invalid, and NotFound for a plan that is deleted meanwhile.
    """
    wanted = checked(PlanValues(**values))
    # Others who would block or let go on by this plan wait, and then see what it says now.
    hold(session, plan, but_subscriptions=True)
    before = PlanValues.of(plan)
    _fill(plan, plan.team, wanted)
    if wanted.limits != before.limits:
        revision.touch(session)
    if wanted.quotas != before.quotas:
        session.flush()  # who has used up what is asked of the database
        if quotas.settle(session, Subscription.plan_id == plan.id, now=now or utcnow(), zone=zone):
            revision.touch(session)


def delete_plan(session: Session, plan: Plan) -> None:
    """Raises InUse while a subscription, current or ended, refers to it, or somebody asks or has asked for it."""
    used = session.scalar(select(func.count()).where(Subscription.plan_id == plan.id)) or 0
    if used:
        noun = "subscription has" if used == 1 else "subscriptions have"
        raise InUse(f"{used} {noun} or had the plan {plan.name}. Take it out of the APIs' offers instead.")
    asked = session.scalar(select(func.count()).where(Approval.plan_id == plan.id)) or 0
    if asked:
        noun = "request asks or has" if asked == 1 else "requests ask or have"
        raise InUse(f"{asked} {noun} asked for the plan {plan.name}. Take it out of the APIs' offers instead.")
    for api in list(plan.apis):
        api.plans.remove(plan)  # so that the trail of each API says what it no longer offers
        if api.default_plan is plan:
            api.default_plan = None
    session.delete(plan)


def is_stricter(before: PlanValues, after: PlanValues) -> bool:
    """Whether some call that was let through could be refused now."""
    return any(
        new is not None and (old is None or new < old)
        for old, new in (
            (before.per_second, after.per_second),
            (before.per_minute, after.per_minute),
            (before.quota_day, after.quota_day),
            (before.quota_month, after.quota_month),
            (_most_at_once(before.per_second, before.per_second_burst), after.per_second_burst or after.per_second),
            (_most_at_once(before.per_minute, before.per_minute_burst), after.per_minute_burst or after.per_minute),
        )
    )


def _most_at_once(rate: int | None, burst: int | None) -> int | None:
    return rate if burst is None else burst


def checked(values: PlanValues) -> PlanValues:
    """The same, with texts as they are stored. Raises Invalid."""
    wrong: dict[str, str] = {}
    check_rate(wrong, "per_second", values.per_second, values.per_second_burst, MOST_A_SECOND)
    check_rate(wrong, "per_minute", values.per_minute, values.per_minute_burst, MOST_A_MINUTE)
    check_rate(wrong, "quota_day", values.quota_day, None, MOST_A_DAY)
    check_rate(wrong, "quota_month", values.quota_month, None, MOST_A_MONTH)
    if not wrong and None not in values.quotas and values.quota_day > values.quota_month:  # type: ignore[operator]
        wrong["quota_day"] = "A day's quota above the month's would never be reached. Lower it, or leave it empty."
    name, price = " ".join(values.name.split()), " ".join(values.price.split())
    if not name:
        wrong["name"] = "Give it a name."
    if len(price) > LONGEST_PRICE:
        wrong["price"] = f"At most {LONGEST_PRICE} characters fit here. Write more into the terms."
    if len(values.terms) > LONGEST_TERMS:
        wrong["terms"] = f"At most {LONGEST_TERMS:,} characters fit here. Link to a page with all of it."
    if personal := [team.name for team in values.chosen if team.is_personal]:
        wrong["chosen"] = f"{personal[0]} is a personal team, which cannot be chosen. Choose a team of several people."
    if wrong:
        raise Invalid(wrong)
    texts = {"name": name, "price": price, "description": values.description.strip(), "terms": values.terms.strip()}
    return PlanValues(**values.as_dict() | texts)


def _fill(plan: Plan, team: Team, values: PlanValues) -> None:
    for name in PlanValues.__slots__:
        if name != "chosen":
            setattr(plan, name, getattr(values, name))
    plan.chosen = [each for each in dict.fromkeys(values.chosen) if each.id != team.id]


def check_rate(wrong: dict[str, str], field: str, rate: int | None, burst: int | None, most: int) -> None:
    """Add to `wrong` what is wrong with a limit and its burst, by the names of their fields."""
    if rate is not None and not 1 <= rate <= most:
        wrong[field] = f"Give a number from 1 to {most:,}, or nothing for no limit."
    if burst is not None and rate is None:
        wrong[f"{field}_burst"] = "A burst needs the limit that it belongs to."
    elif burst is not None and not 1 <= burst <= most:
        wrong[f"{field}_burst"] = f"Give a number from 1 to {most:,}, or nothing for the usual one."
