"""What the portal promises: APIs and their releases, plans, consumers, subscriptions, keys.

These are the verbs that others may use. All take the session first, commit nothing, and leave it to the caller to say
who may: `web/guards.py` has asked before.
"""

from portal.bearer import Token, new_public_id
from portal.registry import indexing
from portal.registry.apis import (
    create_api,
    delete_api,
    offer_plans,
    pause,
    resume,
    save_draft,
    subscribers,
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
from portal.registry.effects import Effect, effects
from portal.registry.expiry import tell_expiring
from portal.registry.keys import (
    OVER,
    Restrictions,
    bury,
    change_key,
    choosable,
    issue,
    living_successor,
    operations_of,
    restrict,
    revoke,
    revoke_all,
    take_over_key,
)
from portal.registry.lifecycle import close, deprecate, refusal, reopen, retire, revive, withdraw_deprecation
from portal.registry.operation_changes import OperationChanges, operation_changes
from portal.registry.people import Departure, delete_person, departure
from portal.registry.plans import change_plan, create_plan, delete_plan
from portal.registry.releases import next_number, obstacles, publish, republish, unpublish, vacate
from portal.registry.rotation import lineage, rotate, same_lifetime
from portal.registry.secrets import delete_secret, replace_secret, secrets_of, store_secret, users_of_secrets
from portal.registry.teams import Estate, belongings, delete_team, estate
from portal.registry.versions import by_team, carry_subscriptions, new_version, portable, siblings, teams_using
from portal.registry.visibility import losing_sight, may_see, set_visibility, visible_to

__all__ = [
    "OVER",
    "Departure",
    "Difference",
    "Document",
    "Effect",
    "Estate",
    "Loss",
    "OperationChanges",
    "Restrictions",
    "Token",
    "belongings",
    "bury",
    "by_team",
    "carry_subscriptions",
    "change_category",
    "change_consumer",
    "change_key",
    "change_plan",
    "choosable",
    "close",
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
    "deprecate",
    "differences",
    "effects",
    "end_subscription",
    "estate",
    "facts",
    "indexing",
    "issue",
    "limit_subscription",
    "lineage",
    "living_successor",
    "losing_sight",
    "may_see",
    "new_public_id",
    "new_version",
    "next_number",
    "obstacles",
    "offer_plans",
    "operation_changes",
    "operations_of",
    "pause",
    "portable",
    "publish",
    "read_document",
    "refusal",
    "reopen",
    "replace_secret",
    "republish",
    "restrict",
    "resume",
    "retire",
    "revive",
    "revoke",
    "revoke_all",
    "rotate",
    "same_lifetime",
    "save_draft",
    "secrets_of",
    "set_category",
    "set_visibility",
    "siblings",
    "store_secret",
    "subscribe",
    "subscribers",
    "take_over_key",
    "take_over_subscription",
    "teams_using",
    "tell_expiring",
    "unpublish",
    "users_of_secrets",
    "vacate",
    "visible_to",
    "withdraw_deprecation",
]
