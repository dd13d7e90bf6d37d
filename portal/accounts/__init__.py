"""People, teams, roles and rights."""

from portal.accounts import audit, second_factor, sessions, throttle
from portal.accounts.invitations import INVITATION_LASTS, accept, find_invitation, invite, send_anew, withdraw
from portal.accounts.models import Invitation, Membership, Person, Role, Team
from portal.accounts.people import (
    activate,
    appoint,
    change_email,
    confirm,
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
    "INVITATION_LASTS",
    "Invitation",
    "Membership",
    "Permission",
    "Person",
    "Role",
    "Standing",
    "Team",
    "accept",
    "activate",
    "add_member",
    "allow_publishing",
    "appoint",
    "audit",
    "change_email",
    "change_role",
    "confirm",
    "create_person",
    "create_personal_team",
    "create_team",
    "deactivate",
    "dismiss",
    "find_invitation",
    "invite",
    "new_password",
    "remove_member",
    "rename_team",
    "second_factor",
    "send_anew",
    "sessions",
    "set_password",
    "slug_of",
    "standing",
    "throttle",
    "withdraw",
]
