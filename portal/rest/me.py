"""Who asks."""

from flask import g
from sqlalchemy.orm import Session

from portal.accounts import Permission, Role
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Told
from portal.web.guards import me

route = tagged("Me")


class OwnTeam(Told):
    slug: str
    name: str
    role: Role
    is_personal: bool
    may_publish: bool


class TokenAnswer(Told):
    """The access token that this request came with."""

    id: str
    label: str
    scopes: list[str]
    created_at: Instant
    expires_at: Instant


class MeAnswer(Told):
    id: int
    email: str
    name: str
    is_administrator: bool
    """The token acts as one if it has the scope `admin`."""
    teams: list[OwnTeam]
    token: TokenAnswer


@route("GET", "/me", Permission.SIGNED_IN, scope=None, answer=MeAnswer)
def show(session: Session) -> MeAnswer:
    """Who you are, your teams, and what this access token may be used for."""
    person, token = me(), g.access_token
    roles = {membership.team_id: membership.role for membership in person.memberships}
    return MeAnswer(
        id=person.id,
        email=person.email,
        name=person.name,
        is_administrator=person.is_administrator,
        teams=[
            OwnTeam(
                slug=team.slug,
                name=team.name,
                role=roles[team.id],
                is_personal=team.is_personal,
                may_publish=team.may_publish,
            )
            for team in person.teams
        ],
        token=TokenAnswer(
            id=f"ppt_{token.public_id}",
            label=token.label,
            scopes=token.scopes.split(),
            created_at=token.created_at,
            expires_at=token.expires_at,
        ),
    )
