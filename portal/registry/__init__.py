"""What the portal promises: APIs and their releases, plans, consumers, subscriptions, keys.

These are the verbs that others may use. All take the session first, commit nothing, and leave it to the caller to say
who may: `web/guards.py` has asked before.
"""

from portal.registry import indexing
from portal.registry.apis import (
    create_api,
    delete_api,
    offer_plans,
    pause,
    publish,
    resume,
    save_draft,
    subscribers,
    unpublish,
    vacate,
)
from portal.registry.categories import change_category, create_category, delete_category, set_category
from portal.registry.consumers import (
    Loss,
    change_consumer,
    create_consumer,
    delete_consumer,
    end_subscription,
    limit_subscription,
    subscribe,
    take_over_subscription,
)
from portal.registry.difference import Difference, differences, facts
from portal.registry.document import Document, read_document
from portal.registry.keys import Token, bury, change_key, issue, new_public_id, revoke, take_over_key
from portal.registry.people import Departure, delete_person, departure
from portal.registry.plans import change_plan, create_plan, delete_plan
from portal.registry.secrets import delete_secret, replace_secret, secrets_of, store_secret, users_of_secrets
from portal.registry.teams import Estate, belongings, delete_team, estate
from portal.registry.visibility import may_see, visible_to

__all__ = [
    "Departure",
    "Difference",
    "Document",
    "Estate",
    "Loss",
    "Token",
    "belongings",
    "bury",
    "change_category",
    "change_consumer",
    "change_key",
    "change_plan",
    "create_api",
    "create_category",
    "create_consumer",
    "create_plan",
    "delete_api",
    "delete_category",
    "delete_consumer",
    "delete_person",
    "delete_plan",
    "delete_secret",
    "delete_team",
    "departure",
    "differences",
    "end_subscription",
    "estate",
    "facts",
    "indexing",
    "issue",
    "limit_subscription",
    "may_see",
    "new_public_id",
    "offer_plans",
    "pause",
    "publish",
    "read_document",
    "replace_secret",
    "resume",
    "revoke",
    "save_draft",
    "secrets_of",
    "set_category",
    "store_secret",
    "subscribe",
    "subscribers",
    "take_over_key",
    "take_over_subscription",
    "unpublish",
    "users_of_secrets",
    "vacate",
    "visible_to",
]
