"""Nobody changes between the look and the act what steps are about."""

from collections.abc import Iterable

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.registry.installation.steps import Step
from portal.registry.models import Api, Category, Consumer, Plan, Subscription


def hold(session: Session, steps: Iterable[Step]) -> None:
    """Nobody else changes what these steps are about until the commit: on PostgreSQL others wait here.

    In the order in which the deletion of a team holds the same.
    """
    steps = list(steps)
    slugs = {step.identity[1] for step in steps if step.identity[0] != "category"} | {
        step.identity[3].partition("/")[0] for step in steps if step.identity[0] == "subscription"
    }
    ids = list(session.scalars(select(Team.id).where(Team.slug.in_(slugs)).order_by(Team.id).with_for_update()))
    owned = {kind: select(kind.id).where(kind.team_id.in_(ids)) for kind in (Consumer, Api, Plan)}
    for kind, chosen in owned.items():
        session.execute(chosen.order_by(kind.id).with_for_update())
    session.execute(
        select(Subscription.id)
        .where(or_(Subscription.consumer_id.in_(owned[Consumer]), Subscription.api_id.in_(owned[Api])))
        .order_by(Subscription.id)
        .with_for_update()
    )
    session.execute(
        select(Category.id)
        .where(Category.slug.in_({step.identity[1] for step in steps if step.identity[0] == "category"}))
        .order_by(Category.id)
        .with_for_update()
    )
    session.expire_all()
