"""Who may do what: the permission table as data. Pure; `web/guards.py` asks it, the tests are generated from it."""

from dataclasses import dataclass
from enum import StrEnum

from portal.accounts.models import Role


class Permission(StrEnum):
    PUBLIC = "public"
    """Anybody, signed in or not."""
    SIGNED_IN = "signed_in"
    SEE_CATALOGUE = "see_catalogue"
    """Anybody where the installation shows its catalogue to strangers, otherwise who is signed in. What they see there
    is decided API by API (`registry.visible_to`)."""
    MANAGE_CONSUMERS = "manage_consumers"
    """See, make and change a team's consumers, their keys and subscriptions."""
    SEE_APIS = "see_apis"
    """See a team's APIs, drafts, releases and plans."""
    MANAGE_APIS = "manage_apis"
    """Change, publish and pause them. Needs the team's publishing right too."""
    SEE_API_CALLS = "see_api_calls"
    """See the calls of a team's APIs, without other teams' keys, addresses and user agents."""
    DECIDE = "decide"
    """Decide who uses a team's APIs: approve and reject, suspend, give notice, end. Needs no publishing right: what is
    published goes on without it."""
    SEE_TEAM = "see_team"
    MANAGE_TEAM = "manage_team"
    """Members, roles, and deletion of the team's things."""
    ADMINISTER = "administer"
    """Nodes, installation settings, people, publishing rights of teams."""


_DEVELOPER = frozenset({Permission.MANAGE_CONSUMERS, Permission.SEE_APIS, Permission.SEE_TEAM})
_PUBLISHER = _DEVELOPER | {Permission.MANAGE_APIS, Permission.SEE_API_CALLS, Permission.DECIDE}
_OWNER = _PUBLISHER | {Permission.MANAGE_TEAM}

BY_ROLE: dict[Role, frozenset[Permission]] = {
    Role.DEVELOPER: _DEVELOPER,
    Role.PUBLISHER: _PUBLISHER,
    Role.OWNER: _OWNER,
}


_ANYBODYS = {Permission.PUBLIC, Permission.SIGNED_IN, Permission.SEE_CATALOGUE}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one person stands to one team. A stranger to the team has no role."""

    role: Role | None = None
    is_administrator: bool = False
    team_may_publish: bool = False

    def may(self, permission: Permission) -> bool:
        if permission is Permission.MANAGE_APIS and not self.team_may_publish:
            return False
        if self.is_administrator or permission in _ANYBODYS:
            return True
        return self.role is not None and permission in BY_ROLE[self.role]
