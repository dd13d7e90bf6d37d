"""People, teams, roles and rights."""

from portal.accounts import audit, throttle
from portal.accounts.models import Membership, Person, Role, Team
from portal.accounts.people import (
    activate,
    appoint,
    create_person,
    deactivate,
    dismiss,
    new_password,
    set_password,
)
from portal.accounts.rights import BY_ROLE, Permission, Standing
from portal.accounts.teams import (
    add_member,
    allow_publishing,
    change_role,
    create_personal_team,
    create_team,
    remove_member,
    rename_team,
    slug_of,
    standing,
)

__all__ = [
    "BY_ROLE",
    "Membership",
    "Permission",
    "Person",
    "Role",
    "Standing",
    "Team",
    "activate",
    "add_member",
    "allow_publishing",
    "appoint",
    "audit",
    "change_role",
    "create_person",
    "create_personal_team",
    "create_team",
    "deactivate",
    "dismiss",
    "new_password",
    "remove_member",
    "rename_team",
    "set_password",
    "slug_of",
    "standing",
    "throttle",
]
