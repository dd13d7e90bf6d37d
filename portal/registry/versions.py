"""Another version of an API beside it, and the callers of the one carried over to the other."""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import Person, Team
from portal.errors import Conflict
from portal.registry import revision
from portal.registry.apis import create_api
from portal.registry.document import read_document
from portal.registry.models import APPLICATION, CURRENT, Api, Consumer, Plan, Subscription, SubscriptionState
from portal.registry.operation_limits import copy_limits


def new_version(session: Session, api: Api, *, version: str, path: str, by: Person | None) -> Api:
    """A draft copy of the API's draft under the same slug, with what its team decided around it: plans offered, and
    which operations these limit, who may see it, its category, its overall limit. Nothing leads from one to the other,
    and a host of the old one's stays with it.

    Raises Invalid for a version or path of the wrong form, NameTaken.
    """
    values = read_document(api.draft).as_json() | {"path": path, "host": None}
    document = read_document(values, typed=True)
    made = create_api(session, api.team, slug=api.slug, version=version, document=document, by=by)
    made.plans, made.default_plan_id = list(api.plans), api.default_plan_id
    made.visibility, made.viewers = api.visibility, list(api.viewers)
    made.category_id = api.category_id
    made.overall_per_second = api.overall_per_second
    copy_limits(session, api, made)
    return made


def siblings(session: Session, api: Api) -> list[Api]:
    """Other versions under the same slug, the latest made first."""
    return list(
        session.scalars(
            select(Api)
            .where(Api.team_id == api.team_id, Api.slug == api.slug, Api.id != api.id)
            .options(joinedload(Api.team))
            .order_by(Api.created_at.desc(), Api.id.desc())
        )
    )


def portable(session: Session, old: Api, new: Api) -> list[Subscription]:
    """Approved subscriptions to `old` whose consumers neither use `new` yet nor have asked for it, by consumer."""
    already = select(Subscription.consumer_id).where(Subscription.api_id == new.id, CURRENT)
    return list(
        session.scalars(
            select(Subscription)
            .join(Subscription.consumer)
            .where(
                Subscription.api_id == old.id,
                Subscription.state == SubscriptionState.APPROVED,
                Subscription.consumer_id.not_in(already),
                APPLICATION,
            )
            .options(joinedload(Subscription.plan), joinedload(Subscription.consumer).joinedload(Consumer.team))
            .order_by(func.lower(Consumer.name), Subscription.id)
        )
    )


def carry_subscriptions(
    session: Session,
    old: Api,
    new: Api,
    subscriptions: Collection[Subscription],
    plans: Mapping[int, Plan],
    *,
    by: Person | None,
) -> list[Subscription]:
    """Let the consumers of these subscriptions to `old` call `new` too, with the keys that they have; what was made.

    Each gets the plan that `plans` has for the number of its present one, else the same one, without asking for it
    again, and ends when its subscription to `old` does. Subscriptions of other APIs and consumers that use `new`
    already are passed over. Raises Conflict when `new` is not published or does not offer a plan that is needed.
    """
    if new.live_release_id is None or new.retired_at is not None:
        raise Conflict(f"Nobody can call {new.name} {new.version}, whose state is {new.state}. Publish it first.")
    there = {each.id: each for each in portable(session, old, new)}
    made = []
    taken = set(session.scalars(select(Subscription.subject).where(Subscription.api_id == new.id, CURRENT)))
    for subscription in (there[each.id] for each in subscriptions if each.id in there):
        plan = plans.get(subscription.plan_id, subscription.plan)
        if plan not in new.plans:
            raise Conflict(f"{new.name} {new.version} does not offer the plan {plan.name}. Choose one that it offers.")
        made.append(_carried(subscription, new, plan, by, taken))
    session.add_all(made)
    revision.touch(session)
    return made


def _carried(old: Subscription, api: Api, plan: Plan, by: Person | None, taken: Collection[str | None]) -> Subscription:
    # A notice for want of calls to the old version says nothing of the new one.
    return Subscription(
        consumer=old.consumer,
        api=api,
        plan=plan,
        ends_at=old.ends_without_notice if old.noticed_at else old.ends_at,
        approved_until=old.approved_until,
        # A token names its caller alike at both versions. Somebody else may have the subject at this one.
        subject=None if old.subject in taken else old.subject,
        created_by_id=by.id if by else None,
    )


def teams_using(session: Session, api: Api) -> list[tuple[Team, list[str]]]:
    """The teams that have a current subscription to the API, each with the names of its consumers. By name."""
    rows = session.scalars(
        select(Subscription)
        .join(Subscription.consumer)
        .where(Subscription.api_id == api.id, CURRENT, APPLICATION)
        .options(joinedload(Subscription.consumer).joinedload(Consumer.team))
        .order_by(func.lower(Consumer.name), Consumer.id)
    )
    return by_team(rows)


def by_team(subscriptions: Iterable[Subscription]) -> list[tuple[Team, list[str]]]:
    found: dict[Team, list[str]] = {}
    for each in subscriptions:
        found.setdefault(each.consumer.team, []).append(each.consumer.name)
    return sorted(found.items(), key=lambda pair: (pair[0].name.lower(), pair[0].id))
