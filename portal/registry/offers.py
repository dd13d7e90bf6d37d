"""Who may choose which of the plans that an API offers."""

from sqlalchemy import ColumnElement, exists, or_, select, true

from portal.accounts.models import Membership, Person, Team
from portal.registry.models import Api, Plan, plan_team


def may_choose(team: Team, plan: Plan) -> bool:
    """Whether consumers of `team` may be subscribed under it, where an API offers it."""
    return plan.public or team.id == plan.team_id or team in plan.chosen


def offered(api: Api, team: Team) -> list[Plan]:
    """What an API offers to consumers of `team`: its default first, then by name."""
    return _in_order(api, [plan for plan in api.plans if may_choose(team, plan)])


def shown_plans(api: Api, person: Person | None) -> list[Plan]:
    """Those of an API's plans of which `person` may know, in the same order; None has not signed in."""
    return _in_order(api, [plan for plan in api.plans if _may_know(person, plan)])


def known_to(person: Person) -> ColumnElement[bool]:
    """The plans that one of the person's teams may choose or owns, as a condition on `Plan`; all to administrators."""
    if person.acts_as_administrator:
        return true()
    own = select(Membership.team_id).where(Membership.person_id == person.id)
    chosen = exists().where(plan_team.c.plan_id == Plan.id, plan_team.c.team_id.in_(own))
    return or_(Plan.public, Plan.team_id.in_(own), chosen)


def _may_know(person: Person | None, plan: Plan) -> bool:
    if plan.public or (person is not None and person.acts_as_administrator):
        return True
    return person is not None and any(may_choose(each.team, plan) for each in person.memberships)


def _in_order(api: Api, plans: list[Plan]) -> list[Plan]:
    return sorted(plans, key=lambda plan: (plan.id != api.default_plan_id, plan.name.lower(), plan.id))
