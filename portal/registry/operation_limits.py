"""Limits of single operations under a plan, beside the plan's own: “POST /reports at most 2 per minute”.

They name operations by their stable ids, at whatever release is live. One whose operation is there no more stays and
does nothing, until the operation comes back or somebody takes the limit away.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal.errors import Invalid
from portal.registry import revision
from portal.registry.consumers import hold
from portal.registry.models import Api, Operation, Plan, PlanOperation
from portal.registry.plans import MOST_A_MINUTE, MOST_A_SECOND, PlanValues, check_rate

MOST_OPERATIONS = 50
"""With limits of their own under one plan."""
NUMBERS = ("per_second", "per_second_burst", "per_minute", "per_minute_burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLimit:
    """What a plan says of one operation. A limit of None does not exist; one of the two does."""

    api: Api
    operation: str
    """Its stable id."""
    per_second: int | None = None
    per_second_burst: int | None = None
    per_minute: int | None = None
    per_minute_burst: int | None = None

    @classmethod
    def of(cls, row: PlanOperation) -> "OperationLimit":
        return cls(api=row.api, operation=row.operation, **{name: getattr(row, name) for name in NUMBERS})

    @property
    def name(self) -> tuple[int, str]:
        return self.api.id, self.operation


@dataclass(frozen=True, slots=True)
class Limited:
    """An operation's limit as pages tell of it."""

    limit: OperationLimit
    operation: Operation | None
    """As the live release has it; None where it has none of this id."""
    is_offered: bool
    """Whether the API offers the plan. If not, it holds for subscriptions that have the plan all the same."""
    is_moot: bool
    """Whether the plan's own limits are always met first, or at once."""

    @property
    def is_odd(self) -> bool:
        """Whether there is something about it that its publisher should know."""
        return self.operation is None or self.operation.deprecated or not self.is_offered or self.is_moot

    @property
    def called(self) -> str:
        """`POST /reports`, or the operation's id where it is there no more."""
        return f"{self.operation.method} {self.operation.path}" if self.operation is not None else self.limit.operation


def limit_operations(
    session: Session, plan: Plan, wanted: Sequence[OperationLimit], *, taken_over: bool = False
) -> None:
    """All that the plan says of operations from now on. Live at once; a change refills the counters of all operations'
    limits of the gateway once, those of plans stay.

    A limit that the plan has already may stay although its operation has gone, or its API offers the plan no more.
    `taken_over` ones come from another installation and are believed. Raises Invalid, with fields such as
    `operations.0.per_minute`, and NotFound for a plan that is deleted meanwhile.
    """
    hold(session, plan, but_subscriptions=True)
    there = {(row.api_id, row.operation): row for row in plan.operations}
    check(session, plan, wanted, taken_over=taken_over)
    before = _said(map(OperationLimit.of, plan.operations))
    if _said(wanted) == before:
        return
    rows = []
    for each in wanted:
        row = there.get(each.name) or PlanOperation(api=each.api, operation=each.operation)
        for name in NUMBERS:
            setattr(row, name, getattr(each, name))
        rows.append(row)
    plan.operations = rows
    revision.touch(session)


def copy_limits(session: Session, api: Api, made: Api) -> None:
    """What plans say of an API's operations, for those of its new version too, as far as that will have them."""
    rows = list(
        session.scalars(
            select(PlanOperation).where(PlanOperation.api_id == api.id).options(joinedload(PlanOperation.plan))
        )
    )
    for row in rows:
        numbers = {name: getattr(row, name) for name in NUMBERS}
        row.plan.operations.append(PlanOperation(api=made, operation=row.operation, **numbers))
    if rows:
        revision.touch(session)


def check(session: Session, plan: Plan, wanted: Sequence[OperationLimit], *, taken_over: bool = False) -> None:
    """Raises Invalid for what `limit_operations` would refuse."""
    had = {each.name for each in wanted} if taken_over else {(row.api_id, row.operation) for row in plan.operations}
    wrong = _wrong_names(session, plan, wanted, had) | _wrong_numbers(wanted)
    if wrong:
        raise Invalid(wrong)


def limited_operations(session: Session, plan: Plan) -> list[Limited]:
    """By API, path and method; those without an operation at the end of their API's."""
    rows = session.scalars(
        select(PlanOperation)
        .where(PlanOperation.plan_id == plan.id)
        .options(joinedload(PlanOperation.api).options(joinedload(Api.team), joinedload(Api.live_release)))
    )
    limits = [OperationLimit.of(row) for row in rows]
    return shown_limits(session, PlanValues.of(plan), limits, [api.id for api in plan.apis])


def shown_limits(
    session: Session, values: PlanValues, limits: Sequence[OperationLimit], offering: Collection[int]
) -> list[Limited]:
    """The same of limits that a plan may get. `offering` are the numbers of the APIs that offer it."""
    apis = {each.api.id: each.api for each in limits}
    known = {
        (number, name): operation
        for number, api in apis.items()
        for name, operation in operations_named(
            session, api, [each.operation for each in limits if each.api.id == number]
        ).items()
    }
    found = [Limited(each, known.get(each.name), each.api.id in offering, is_moot(values, each)) for each in limits]
    return sorted(found, key=_place)


def limits_at(session: Session, api: Api, plans: Collection[Plan]) -> dict[int, list[Limited]]:
    """By the number of the plan, what these plans say of operations that an API has, for those who subscribe to it."""
    rows = session.scalars(
        select(PlanOperation)
        .where(PlanOperation.api_id == api.id, PlanOperation.plan_id.in_([plan.id for plan in plans]))
        .options(joinedload(PlanOperation.api).joinedload(Api.live_release))
    )
    by_plan: dict[int, list[OperationLimit]] = {}
    for row in rows:
        by_plan.setdefault(row.plan_id, []).append(OperationLimit.of(row))
    return {
        plan.id: [
            each
            for each in shown_limits(session, PlanValues.of(plan), by_plan[plan.id], [api.id])
            if each.operation is not None and not each.is_moot
        ]
        for plan in plans
        if plan.id in by_plan
    }


def limits_of(session: Session, api: Api, operation: str, plans: Collection[Plan]) -> list[tuple[Plan, OperationLimit]]:
    """What these plans say of one operation of an API, in their order."""
    rows = session.scalars(
        select(PlanOperation)
        .where(
            PlanOperation.api_id == api.id,
            PlanOperation.operation == operation,
            PlanOperation.plan_id.in_([plan.id for plan in plans]),
        )
        .options(joinedload(PlanOperation.api))
    )
    found = {row.plan_id: OperationLimit.of(row) for row in rows}
    return [(plan, found[plan.id]) for plan in plans if plan.id in found]


def operations_named(session: Session, api: Api, names: Collection[str]) -> dict[str, Operation]:
    """Those of the live release that have one of these ids, by it."""
    digest = api.live_release.document.get("openapi") if api.live_release is not None else None
    if not digest:
        return {}
    rows = session.scalars(select(Operation).where(Operation.sha256 == digest, Operation.name.in_(names)))
    return {row.name: row for row in rows}


def operation_at(session: Session, api: Api, method: str, path: str) -> str | None:
    """The stable id of an operation of the live release."""
    digest = api.live_release.document.get("openapi") if api.live_release is not None else None
    where = (Operation.sha256 == (digest or ""), Operation.method == method, Operation.path == path)
    return session.scalar(select(Operation.name).where(*where))


def is_moot(values: PlanValues, limit: OperationLimit) -> bool:
    """Whether no call meets this limit without meeting one of the plan's own, too."""
    own = [(_most(*each), each[0] / each[2]) for each in _buckets(values)]
    return all(
        any(tokens <= _most(*each) and rate <= each[0] / each[2] for tokens, rate in own) for each in _buckets(limit)
    )


def are_stricter(before: Iterable[OperationLimit], after: Iterable[OperationLimit]) -> bool:
    """Whether some call that was let through could be refused now."""
    had = {each.name: each for each in before}
    return any(
        each.name not in had
        or any(
            rate is not None and (_less(rate, old) or _less(burst or rate, old_burst or old))
            for rate, burst, old, old_burst in (
                (each.per_second, each.per_second_burst, had[each.name].per_second, had[each.name].per_second_burst),
                (each.per_minute, each.per_minute_burst, had[each.name].per_minute, had[each.name].per_minute_burst),
            )
        )
        for each in after
    )


def _less(new: int, old: int | None) -> bool:
    return old is None or new < old


def _buckets(values: PlanValues | OperationLimit) -> list[tuple[int, int | None, int]]:
    """Rate, burst, and the seconds of the rate."""
    both = ((values.per_second, values.per_second_burst, 1), (values.per_minute, values.per_minute_burst, 60))
    return [(rate, burst, seconds) for rate, burst, seconds in both if rate is not None]


def _most(rate: int, burst: int | None, _seconds: int) -> int:
    return rate if burst is None else burst


def _said(limits: Iterable[OperationLimit]) -> dict[tuple[int, str], tuple[int | None, ...]]:
    return {each.name: tuple(getattr(each, name) for name in NUMBERS) for each in limits}


def _place(each: Limited) -> tuple[str, int, bool, str, str]:
    api, operation = each.limit.api, each.operation
    where = (operation.path, operation.method) if operation is not None else (each.limit.operation, "")
    return (api.name.lower(), api.id, operation is None, *where)


def _wrong_numbers(wanted: Sequence[OperationLimit]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    for n, each in enumerate(wanted):
        said: dict[str, str] = {}
        check_rate(said, "per_second", each.per_second, each.per_second_burst, MOST_A_SECOND)
        check_rate(said, "per_minute", each.per_minute, each.per_minute_burst, MOST_A_MINUTE)
        if not said and each.per_second is None and each.per_minute is None:
            said["per_minute"] = "Give calls per second or per minute, or remove the limit."
        wrong |= {f"operations.{n}.{field}": sentence for field, sentence in said.items()}
    return wrong


def _wrong_names(
    session: Session, plan: Plan, wanted: Sequence[OperationLimit], had: Collection[tuple[int, str]]
) -> dict[str, str]:
    if len(wanted) > MOST_OPERATIONS:
        return {"operations": f"These are {len(wanted)} operations; at most {MOST_OPERATIONS} fit. Remove some."}
    wrong: dict[str, str] = {}
    offering = {api.id for api in plan.apis}
    new = [each for each in wanted if each.name not in had]
    known = {
        (api.id, name)
        for api in {each.api for each in new if each.api.id in offering}
        for name in operations_named(session, api, [each.operation for each in new])
    }
    seen: set[tuple[int, str]] = set()
    for n, each in enumerate(wanted):
        api, field = each.api, f"operations.{n}.operation"
        if each.name in seen:
            wrong[field] = f"{each.operation} of {api.name} {api.version} stands here twice. Remove one of the two."
        elif each in new and api.id not in offering:
            wrong[field] = f"{api.name} {api.version} does not offer this plan. Offer it there first."
        elif each in new and each.name not in known:
            wrong[field] = (
                f"{api.name} {api.version} has no operation {each.operation}. Choose one that its docs describe."
            )
        seen.add(each.name)
    return wrong
