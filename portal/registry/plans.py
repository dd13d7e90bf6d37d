"""Plans: the limits that subscriptions are under. A change is live at once, for everybody who has the plan."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.errors import InUse, Invalid, NameTaken
from portal.registry import revision
from portal.registry.document import SLUG
from portal.registry.models import Approval, Plan, Subscription

MOST_A_SECOND = 1_000_000
MOST_A_MINUTE = 60_000_000


def create_plan(
    session: Session,
    team: Team,
    *,
    slug: str,
    name: str,
    description: str = "",
    per_second: int | None = None,
    per_second_burst: int | None = None,
    per_minute: int | None = None,
    per_minute_burst: int | None = None,
) -> Plan:
    """Raises Invalid for limits that make no sense, NameTaken. A limit of None does not exist."""
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as gold."})
    if session.scalar(select(Plan.id).where(Plan.team_id == team.id, Plan.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a plan {slug}. Choose another slug.")
    plan = Plan(team=team, slug=slug)
    _fill(plan, name, description, per_second, per_second_burst, per_minute, per_minute_burst)
    session.add(plan)
    return plan


def change_plan(
    session: Session,
    plan: Plan,
    *,
    name: str,
    description: str,
    per_second: int | None,
    per_second_burst: int | None,
    per_minute: int | None,
    per_minute_burst: int | None,
) -> None:
    """Changed limits refill the counters of every subscription of the gateway once."""
    before = limits(plan)
    _fill(plan, name, description, per_second, per_second_burst, per_minute, per_minute_burst)
    if limits(plan) != before:
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
    session.delete(plan)


def may_choose(team: Team, plan: Plan) -> bool:
    """Whether the team's consumers may ask for the plan; what the API's team gives them is another matter."""
    return plan.public or team.id == plan.team_id or any(each.id == team.id for each in plan.chosen)


def limits(plan: Plan) -> tuple[int | None, int | None, int | None, int | None]:
    return plan.per_second, plan.per_second_burst, plan.per_minute, plan.per_minute_burst


def _fill(
    plan: Plan,
    name: str,
    description: str,
    per_second: int | None,
    per_second_burst: int | None,
    per_minute: int | None,
    per_minute_burst: int | None,
) -> None:
    wrong: dict[str, str] = {}
    _check(wrong, "per_second", per_second, per_second_burst, MOST_A_SECOND)
    _check(wrong, "per_minute", per_minute, per_minute_burst, MOST_A_MINUTE)
    name = " ".join(name.split())
    if not name:
        wrong["name"] = "Give it a name."
    if wrong:
        raise Invalid(wrong)
    plan.name, plan.description = name, description.strip()
    plan.per_second, plan.per_second_burst = per_second, per_second_burst
    plan.per_minute, plan.per_minute_burst = per_minute, per_minute_burst


def _check(wrong: dict[str, str], field: str, rate: int | None, burst: int | None, most: int) -> None:
    if rate is not None and not 1 <= rate <= most:
        wrong[field] = f"Give a number from 1 to {most:,}, or nothing for no limit."
    if burst is not None and rate is None:
        wrong[f"{field}_burst"] = "A burst needs the limit that it belongs to."
    elif burst is not None and not 1 <= burst <= most:
        wrong[f"{field}_burst"] = f"Give a number from 1 to {most:,}, or nothing for the usual one."
