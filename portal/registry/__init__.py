"""What the portal promises: APIs and their releases, plans, consumers, subscriptions, keys.

These are the verbs that others may use. All take the session first, commit nothing, and leave it to the caller to say
who may: `web/guards.py` has asked before.
"""

from portal.bearer import Token, new_public_id
from portal.registry import indexing, token_keys
from portal.registry.apis import (
    create_api,
    delete_api,
    limit_api,
    offer_plans,
    pause,
    require_free_name,
    resume,
    save_draft,
    subscribers,
)
from portal.registry.approvals import approve, reject, withdraw_request
from portal.registry.categories import change_category, create_category, delete_category, set_category
from portal.registry.consumers import (
    Loss,
    change_consumer,
    create_consumer,
    delete_consumer,
    move_consumer,
    resume_consumer,
    suspend_consumer,
    unused_slug,
)
from portal.registry.descriptions import openapi_names
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
from portal.registry.lifecycle import close, dead, deprecate, refusal, reopen, retire, revive, withdraw_deprecation
from portal.registry.offers import known_to, may_choose, offered, shown_plans
from portal.registry.operation_changes import OperationChanges, operation_changes
from portal.registry.operation_limits import OperationLimit, limit_operations, limited_operations, limits_at
from portal.registry.people import Departure, delete_person, departure
from portal.registry.plans import PlanValues, change_plan, create_plan, delete_plan
from portal.registry.quotas import settle as settle_quotas
from portal.registry.quotas import take_untold
from portal.registry.releases import next_number, obstacles, publish, republish, unpublish, vacate
from portal.registry.rotation import lineage, rotate, same_lifetime
from portal.registry.secrets import delete_secret, replace_secret, secrets_of, store_secret, users_of_secrets
from portal.registry.subjects import set_subject, takes_tokens, taking_tokens
from portal.registry.subscriptions import (
    admit,
    assign_plan,
    end_due,
    end_subscription,
    give_notice,
    grant_until,
    limit_subscription,
    resume_subscription,
    subscribe,
    suspend_subscription,
    switch_plan,
    take_over_subscription,
    waiting_of,
    withdraw_notice,
)
from portal.registry.teams import Estate, belongings, delete_team, estate
from portal.registry.versions import by_team, carry_subscriptions, new_version, portable, siblings, teams_using
from portal.registry.visibility import losing_sight, may_see, set_visibility, team_may_see, visible_to

__all__ = [
    "OVER",
    "Departure",
    "Difference",
    "Document",
    "Effect",
    "Estate",
    "Loss",
    "OperationChanges",
    "OperationLimit",
    "PlanValues",
    "Restrictions",
    "Token",
    "admit",
    "approve",
    "assign_plan",
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
    "dead",
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
    "end_due",
    "end_subscription",
    "estate",
    "facts",
    "give_notice",
    "grant_until",
    "indexing",
    "issue",
    "known_to",
    "limit_api",
    "limit_operations",
    "limit_subscription",
    "limited_operations",
    "limits_at",
    "lineage",
    "living_successor",
    "losing_sight",
    "may_choose",
    "may_see",
    "move_consumer",
    "new_public_id",
    "new_version",
    "next_number",
    "obstacles",
    "offer_plans",
    "offered",
    "openapi_names",
    "operation_changes",
    "operations_of",
    "pause",
    "portable",
    "publish",
    "read_document",
    "refusal",
    "reject",
    "reopen",
    "replace_secret",
    "republish",
    "require_free_name",
    "restrict",
    "resume",
    "resume_consumer",
    "resume_subscription",
    "retire",
    "revive",
    "revoke",
    "revoke_all",
    "rotate",
    "same_lifetime",
    "save_draft",
    "secrets_of",
    "set_category",
    "set_subject",
    "set_visibility",
    "settle_quotas",
    "shown_plans",
    "siblings",
    "store_secret",
    "subscribe",
    "subscribers",
    "suspend_consumer",
    "suspend_subscription",
    "switch_plan",
    "take_over_key",
    "take_over_subscription",
    "take_untold",
    "takes_tokens",
    "taking_tokens",
    "team_may_see",
    "teams_using",
    "tell_expiring",
    "token_keys",
    "unpublish",
    "unused_slug",
    "users_of_secrets",
    "vacate",
    "visible_to",
    "waiting_of",
    "withdraw_deprecation",
    "withdraw_notice",
    "withdraw_request",
]
