"""Plans: the limits that subscriptions are under."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.registry.consumers import hold
from portal.registry.models import Plan
from portal.registry.plans import MOST_A_MINUTE, MOST_A_SECOND
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Search, Slug, Text, Told
from portal.web import lists as pages
from portal.web.guards import a_plan, a_team, me

route = tagged("Plans")

PerSecond = Annotated[int, Field(ge=1, le=MOST_A_SECOND)]
PerMinute = Annotated[int, Field(ge=1, le=MOST_A_MINUTE)]


class PlanAnswer(Told):
    team: str
    slug: str
    name: str
    description: str
    per_second: int | None
    per_second_burst: int | None
    per_minute: int | None
    per_minute_burst: int | None
    created_at: Instant


class Plans(Listed):
    items: list[PlanAnswer]


class PlanChange(Asked):
    """A limit that is left out, or null, does not exist; a burst needs the limit that it belongs to."""

    name: Name
    description: Text = ""
    per_second: PerSecond | None = None
    per_second_burst: PerSecond | None = None
    per_minute: PerMinute | None = None
    per_minute_burst: PerMinute | None = None


class NewPlan(PlanChange):
    slug: Slug


class PlanSearch(Search):
    team: Annotated[str, Field(max_length=63)] = ""
    """Slug of a team."""


def shown(plan: Plan) -> PlanAnswer:
    return PlanAnswer(
        team=plan.team.slug,
        slug=plan.slug,
        name=plan.name,
        description=plan.description,
        per_second=plan.per_second,
        per_second_burst=plan.per_second_burst,
        per_minute=plan.per_minute,
        per_minute_burst=plan.per_minute_burst,
        created_at=plan.created_at,
    )


_state = state_of(shown, hold)


@route("GET", "/plans", Permission.SIGNED_IN, scope=Scope.READ, query=PlanSearch, answer=Plans)
def index(session: Session, query: PlanSearch) -> Plans:
    """Plans of your teams; all to administrators."""
    rows = pages.plans(me(), q=query.q, team=query.team)
    found, following = lists.by_name(session, rows, Plan.name, Plan.id, query)
    return Plans(items=[shown(plan) for plan in found], next=following)


@route(
    "POST",
    "/teams/<team>/plans",
    Permission.MANAGE_APIS,
    a_team,
    scope=Scope.APIS,
    body=NewPlan,
    answer=PlanAnswer,
    creates=True,
)
def create(session: Session, team: Team, body: NewPlan) -> Answer:
    """Make a plan. APIs of its team may offer it."""
    plan = registry.create_plan(session, team, **body.model_dump())
    session.flush()
    return Answer(shown(plan), location=f"/teams/{team.slug}/plans/{plan.slug}")


@route("GET", "/teams/<team>/plans/<plan>", Permission.SEE_APIS, a_plan, scope=Scope.READ, answer=PlanAnswer, etag=True)
def show(session: Session, plan: Plan) -> PlanAnswer:
    """One plan."""
    return shown(plan)


@route(
    "PUT",
    "/teams/<team>/plans/<plan>",
    Permission.MANAGE_APIS,
    a_plan,
    scope=Scope.APIS,
    body=PlanChange,
    answer=PlanAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, plan: Plan, body: PlanChange) -> PlanAnswer:
    """Change a plan as a whole. New limits hold within a second, for everybody who has it."""
    registry.change_plan(session, plan, **body.model_dump())
    return shown(plan)


@route("DELETE", "/teams/<team>/plans/<plan>", Permission.MANAGE_TEAM, a_plan, scope=Scope.APIS, match=_state)
def delete(session: Session, plan: Plan) -> None:
    """Delete a plan that no subscription has or had (409)."""
    registry.delete_plan(session, plan)
