"""What the portal promises, as rows."""

from portal.registry.models.apis import Api, Category, Mount, Release, Visibility, api_plan, api_viewer
from portal.registry.models.catalogue import CatalogueEntry, CatalogueOperation
from portal.registry.models.consumers import (
    APPLICATION,
    CURRENT,
    IN_USE,
    OVER,
    Approval,
    ApprovalState,
    Consumer,
    Subscription,
    SubscriptionState,
)
from portal.registry.models.descriptions import OpenAPIDocument, OpenAPIExport, OpenAPIPart, Operation
from portal.registry.models.imports import Import, ImportSource, ImportState
from portal.registry.models.keys import Key, KeyKind, KeyLineage, KeyOperation, KeySubscription
from portal.registry.models.plan_operations import PlanOperation
from portal.registry.models.plans import Plan, plan_team
from portal.registry.models.quotas import QuotaNotice, QuotaUse
from portal.registry.models.revision import Revision
from portal.registry.models.secrets import SecretKind, UpstreamSecret
from portal.registry.models.tokens import TokenKeys

__all__ = [
    "APPLICATION",
    "CURRENT",
    "IN_USE",
    "OVER",
    "Api",
    "Approval",
    "ApprovalState",
    "CatalogueEntry",
    "CatalogueOperation",
    "Category",
    "Consumer",
    "Import",
    "ImportSource",
    "ImportState",
    "Key",
    "KeyKind",
    "KeyLineage",
    "KeyOperation",
    "KeySubscription",
    "Mount",
    "OpenAPIDocument",
    "OpenAPIExport",
    "OpenAPIPart",
    "Operation",
    "Plan",
    "PlanOperation",
    "QuotaNotice",
    "QuotaUse",
    "Release",
    "Revision",
    "SecretKind",
    "Subscription",
    "SubscriptionState",
    "TokenKeys",
    "UpstreamSecret",
    "Visibility",
    "api_plan",
    "api_viewer",
    "plan_team",
]
