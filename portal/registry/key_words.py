"""What keys may do, in sentences."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal.registry import networks
from portal.registry.keys import OVER
from portal.registry.models import Api, Key, Subscription

_MOST_NAMED = 3


def sentences(session: Session, keys: Collection[Key]) -> dict[int, str]:
    """What each may do less than its consumer, by its number; "" for nothing less. One or two statements for all."""
    chosen = {each.subscription_id for key in keys for each in key.chosen_subscriptions}
    named: dict[int, str] = {}
    if chosen:
        found = select(Subscription).where(Subscription.id.in_(chosen)).options(joinedload(Subscription.api))
        for each in session.scalars(found):
            over = f" ({each.state.value})" if each.state in OVER else ""
            named[each.id] = f"{each.api.name} {each.api.version}{over}"
    numbers = {each.api_id for key in keys for each in key.chosen_operations}
    apis = {}
    if numbers:
        apis = {api.id: f"{api.name} {api.version}" for api in session.scalars(select(Api).where(Api.id.in_(numbers)))}
    return {
        key.id: sentence(
            read_only=key.read_only,
            subscriptions=[named.get(each.subscription_id, "an API that is gone") for each in key.chosen_subscriptions],
            operations={
                apis[number]: [f"{each.method} {each.path}" for each in key.chosen_operations if each.api_id == number]
                for number in sorted({each.api_id for each in key.chosen_operations})
            },
            addresses=list(map(networks.shown, key.addresses)),
        )
        for key in keys
    }


def sentence(
    *,
    read_only: bool,
    subscriptions: Sequence[str],
    operations: Mapping[str, Sequence[str]],
    addresses: Sequence[str],
) -> str:
    """ "May only read, from 10.0.0.0/8." Long lists are cut. "" where nothing is restricted."""
    if not (read_only or subscriptions or operations or addresses):
        return ""
    said = "May only read" if read_only else "May only call" if subscriptions else "May call"
    if subscriptions:
        said += f" {listed(subscriptions)}"
    elif not read_only:
        said += " every API that its consumer may"
    parts = [said, *(f"of {api} only {listed(some)}" for api, some in operations.items())]
    if addresses:
        parts.append(f"from {listed(addresses)}" + ("" if read_only or subscriptions else " only"))
    return ", ".join(parts) + "."


def listed(words: Sequence[str]) -> str:
    """`a, b and c`; of more than three, how many more."""
    if len(words) <= _MOST_NAMED:
        return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])
    return f"{', '.join(words[:_MOST_NAMED])} and {len(words) - _MOST_NAMED} more"
