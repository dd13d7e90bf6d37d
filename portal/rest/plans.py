"""Plans: limits, quotas and terms that subscriptions are under."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry.consumers import hold
from portal.registry.models import Plan
from portal.registry.plans import (
    LONGEST_PRICE,
    LONGEST_TERMS,
    MOST_A_DAY,
    MOST_A_MINUTE,
    MOST_A_MONTH,
    MOST_A_SECOND,
    checked,
)
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Number, Search, Slug, Text, Told
from portal.traffic.foresight import Affected, foresee
from portal.web import lists as pages
from portal.web import quotas
from portal.web.guards import a_plan, a_team, me

route = tagged("Plans")

PerSecond = Annotated[int, Field(ge=1, le=MOST_A_SECOND)]
PerMinute = Annotated[int, Field(ge=1, le=MOST_A_MINUTE)]
PerDay = Annotated[int, Field(ge=1, le=MOST_A_DAY)]
PerMonth = Annotated[int, Field(ge=1, le=MOST_A_MONTH)]


_MOST_AFFECTED = 500


class LimitedOperation(Told):
    api: str
    """`<team>/<slug>/<version>`."""
    operation: str
    """Its stable id. The live release may have no such operation any more; the limit does nothing then."""
    per_second: int | None
    per_second_burst: int | None
    per_minute: int | None
    per_minute_burst: int | None


class PlanAnswer(Told):
    team: str
    slug: str
    name: str
    description: str
    per_second: int | None
    per_second_burst: int | None
    per_minute: int | None
    per_minute_burst: int | None
    quota_day: int | None
    """Calls of the whole installation that may reach the upstream on a day of the quotas' time zone."""
    quota_month: int | None
    approval: bool
    """Whether a subscription waits until the API's team has decided."""
    terms: str
    """Markdown."""
    price: str
    public: bool
    """Whether everybody who may subscribe may choose it."""
    chosen: list[str]
    """Slugs of the teams that may, beside its own, where it is not public."""
    operations: list[LimitedOperation]
    """Which operations have limits of their own, beside those of the plan."""
    created_at: Instant


class Plans(Listed):
    items: list[PlanAnswer]


class OperationToLimit(Asked):
    """At least one of the two limits."""

    api: Annotated[str, Field(max_length=200, examples=["payments/orders/v1"])]
    """Offers the plan. `<team>/<slug>/<version>`."""
    operation: Annotated[str, Field(max_length=63, examples=["create-order"])]
    """Its stable id."""
    per_second: PerSecond | None = None
    per_second_burst: PerSecond | None = None
    per_minute: PerMinute | None = None
    per_minute_burst: PerMinute | None = None


class PlanChange(Asked):
    """A limit or quota that is left out, or null, does not exist; a burst needs the limit that it belongs to."""

    name: Name
    description: Text = ""
    per_second: PerSecond | None = None
    per_second_burst: PerSecond | None = None
    per_minute: PerMinute | None = None
    per_minute_burst: PerMinute | None = None
    quota_day: PerDay | None = None
    quota_month: PerMonth | None = None
    approval: bool = False
    terms: Annotated[str, Field(max_length=LONGEST_TERMS)] = ""
    price: Annotated[str, Field(max_length=LONGEST_PRICE)] = ""
    public: bool = True
    chosen: Annotated[list[Slug], Field(max_length=200)] = []
    """Slugs of teams of several people, where it is not public."""
    operations: Annotated[list[OperationToLimit], Field(max_length=200)] | None = None
    """All that have limits of their own, at most 50. Left out, or null, they stay as they are."""


class NewPlan(PlanChange):
    slug: Slug


class PlanSearch(Search):
    team: Annotated[str, Field(max_length=63)] = ""
    """Slug of a team."""


class Limits(Asked):
    """Limits and quotas to be tried; what is left out does not exist."""

    per_second: Annotated[Number, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_second_burst: Annotated[Number, Field(ge=1, le=MOST_A_SECOND)] | None = None
    per_minute: Annotated[Number, Field(ge=1, le=MOST_A_MINUTE)] | None = None
    per_minute_burst: Annotated[Number, Field(ge=1, le=MOST_A_MINUTE)] | None = None
    quota_day: Annotated[Number, Field(ge=1, le=MOST_A_DAY)] | None = None
    quota_month: Annotated[Number, Field(ge=1, le=MOST_A_MONTH)] | None = None


class RuleMet(Told):
    rule: str
    """`per_second`, `per_minute`, `quota_day` or `quota_month`."""
    judged_by: str
    """`minute`, `hour`, `day` or `month`."""
    times: int
    """Minutes, hours, days or months in which calls would have been refused for certain."""
    highest: int
    """Calls of the busiest of them."""


class AffectedConsumer(Told):
    team: str
    consumer: str
    api: str
    """`<team>/<slug>/<version>`."""
    calls: int
    """Let through in the seven days."""
    refused_at_least: int
    """Of those, however they were spread within each minute or hour."""
    refused_at_most: int
    """If all calls of each minute or hour had come at once."""
    rules: list[RuleMet]
    blocked_until: Instant | None
    """It has used up such a quota already, and would be blocked at once."""


class WhatIf(Told):
    since: Instant
    minutes_since: Instant
    """Limits are judged by minutes from here on, and by hours before."""
    until: Instant
    subscriptions: int
    """Current ones under the plan."""
    refused: list[AffectedConsumer]
    """For certain; the first 500."""
    refused_count: int
    perhaps: list[AffectedConsumer]
    """Only if their calls came in bursts; the first 500."""
    perhaps_count: int


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
        quota_day=plan.quota_day,
        quota_month=plan.quota_month,
        approval=plan.approval,
        terms=plan.terms,
        price=plan.price,
        public=plan.public,
        chosen=sorted(team.slug for team in plan.chosen),
        operations=[
            LimitedOperation(
                api=row.api.label,
                operation=row.operation,
                per_second=row.per_second,
                per_second_burst=row.per_second_burst,
                per_minute=row.per_minute,
                per_minute_burst=row.per_minute_burst,
            )
            for row in sorted(plan.operations, key=lambda row: (row.api.label, row.operation))
        ],
        created_at=plan.created_at,
    )


# Whoever changes which plan a subscription has holds that one first, and then its new plan in this way.
_state = state_of(shown, partial(hold, but_subscriptions=True))
_state_to_delete = state_of(shown, hold)


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
    plan = registry.create_plan(session, team, **_values(session, body))
    session.flush()
    _limit_operations(session, plan, body)
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
    """Change a plan as a whole. New limits and quotas hold within a second, for everybody who has it.

    Ask `what-if` first whom they would refuse.
    """
    registry.change_plan(session, plan, zone=quotas.zone(), **_values(session, body))
    _limit_operations(session, plan, body)
    return shown(plan)


@route(
    "GET",
    "/teams/<team>/plans/<plan>/what-if",
    Permission.MANAGE_APIS,
    a_plan,
    scope=Scope.READ,
    query=Limits,
    answer=WhatIf,
)
def what_if(session: Session, plan: Plan, query: Limits) -> WhatIf:
    """Whom other limits and quotas would have refused in the last seven days. Nothing is changed.

    Limits of operations are no part of it: who called an operation is known by days only.
    """
    values = checked(registry.PlanValues(name=plan.name, **query.model_dump()))
    found = foresee(session, plan, values, now=utcnow(), zone=quotas.zone())
    return WhatIf(
        since=found.since,
        minutes_since=found.minutes_since,
        until=found.until,
        subscriptions=found.subscriptions,
        refused=[_affected(each) for each in found.refused[:_MOST_AFFECTED]],
        refused_count=len(found.refused),
        perhaps=[_affected(each) for each in found.perhaps[:_MOST_AFFECTED]],
        perhaps_count=len(found.perhaps),
    )


@route("DELETE", "/teams/<team>/plans/<plan>", Permission.MANAGE_TEAM, a_plan, scope=Scope.APIS, match=_state_to_delete)
def delete(session: Session, plan: Plan) -> None:
    """Delete a plan that no subscription has or had (409)."""
    registry.delete_plan(session, plan)


def _values(session: Session, body: PlanChange) -> dict[str, Any]:
    """Raises Invalid."""
    chosen: dict[str, Team] = {}
    if not body.public:
        teams = session.scalars(select(Team).where(Team.slug.in_(body.chosen), Team.person_id.is_(None)))
        chosen = {team.slug: team for team in teams}
        if missing := [slug for slug in body.chosen if slug not in chosen]:
            raise Invalid({"chosen": f"There is no team {missing[0]} of several people. Correct its slug."})
    return body.model_dump(exclude={"operations"}) | {"chosen": [chosen[slug] for slug in sorted(chosen)]}


def _limit_operations(session: Session, plan: Plan, body: PlanChange) -> None:
    """Raises Invalid."""
    if body.operations is None:
        return
    apis = {api.label: api for api in (*plan.apis, *(row.api for row in plan.operations))}
    for n, each in enumerate(body.operations):
        if each.api not in apis:
            raise Invalid({f"operations.{n}.api": f"No API {each.api} offers this plan. Offer it there first."})
    limits = [
        registry.OperationLimit(api=apis[each.api], **each.model_dump(exclude={"api"})) for each in body.operations
    ]
    registry.limit_operations(session, plan, limits)


def _affected(each: Affected) -> AffectedConsumer:
    subscription = each.subscription
    return AffectedConsumer(
        team=subscription.consumer.team.slug,
        consumer=subscription.consumer.slug,
        api=subscription.api.label,
        calls=each.calls,
        refused_at_least=each.least,
        refused_at_most=each.most,
        rules=[RuleMet(rule=hit.rule, judged_by=hit.step, times=hit.times, highest=hit.highest) for hit in each.hits],
        blocked_until=each.blocked_until,
    )
