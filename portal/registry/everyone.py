"""Callers without a key. All who call a team's public APIs are one consumer of that team, with one subscription an API:
so limits, quotas and charts have nothing new to learn. Publishing keeps it; nobody changes it by hand.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.errors import Conflict
from portal.registry.consumers import new_consumer_id
from portal.registry.document import Document
from portal.registry.models import CURRENT, Api, Consumer, Plan, Subscription
from portal.registry.subscriptions import end_subscription, take_over_subscription

NAME = "Everyone (no key)"
SLUG = "*"
"""No application can be called so."""


def wanted_plan(session: Session, api: Api, document: Document) -> Plan | None:
    """The plan that callers without a key would be held to; None where a key is asked for. It cannot be deleted until
    the commit. Raises Conflict for one that the team does not have."""
    public = document.authentication.public
    if public is None:
        return None
    chosen = select(Plan).where(Plan.team_id == api.team_id, Plan.slug == public.plan)
    plan = session.scalar(chosen.with_for_update(read=True, key_share=True))
    if plan is None:
        raise Conflict(
            f"{api.name} is to be public under the plan {public.plan}, which {api.team.name} does not have. Make that "
            "plan, or choose another one in the document."
        )
    return plan


def follow(session: Session, api: Api, plan: Plan | None) -> None:
    """Let everybody call the API under this plan, or nobody without a key, from now on."""
    current = subscription_of_everyone(session, api)
    if plan is None:
        if current is not None:
            end_subscription(session, current)
    elif current is None or current.plan_id != plan.id:
        take_over_subscription(session, _everyone(session, api.team), api, plan, ends_at=None)


def subscription_of_everyone(session: Session, api: Api) -> Subscription | None:
    """What callers without a key call under; None where a key is asked for."""
    own = select(Subscription).join(Subscription.consumer).where(Subscription.api_id == api.id, CURRENT)
    return session.scalar(own.where(Consumer.everyone))


def _everyone(session: Session, team: Team) -> Consumer:
    # Publishers take turns, so two of them do not both make it.
    found = session.scalar(select(Consumer).where(Consumer.team_id == team.id, Consumer.everyone))
    if found is None:
        found = Consumer(team=team, slug=SLUG, name=NAME, public_id=new_consumer_id(), everyone=True)
        session.add(found)
        session.flush()  # its subscription refers to it
    return found
