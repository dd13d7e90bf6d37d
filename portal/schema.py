"""Every model in one import, so that `Base.metadata` is the whole schema: for migrations and for tests."""

from portal import jobs, sample
from portal.accounts import audit, replays, sessions, throttle, tokens
from portal.accounts import models as accounts
from portal.db import Base
from portal.gateway import models as gateway
from portal.notify import models as notify
from portal.registry import models as registry
from portal.traffic import models as traffic

__all__ = [
    "accounts",
    "audit",
    "gateway",
    "jobs",
    "metadata",
    "notify",
    "registry",
    "replays",
    "sample",
    "sessions",
    "throttle",
    "tokens",
    "traffic",
]

metadata = Base.metadata
