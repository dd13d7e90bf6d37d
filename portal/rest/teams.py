"""Teams."""

from sqlalchemy.orm import Session

from portal import accounts, letters, registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Search, Slug, Told
from portal.web import lists as pages
from portal.web.guards import a_team, me

route = tagged("Teams")


class TeamAnswer(Told):
    slug: str
    name: str
    is_personal: bool
    may_publish: bool
    """Whether it may have APIs and plans, which administrators decide."""
    created_at: Instant


class Teams(Listed):
    items: list[TeamAnswer]


class NewTeam(Asked):
    slug: Slug
    name: Name


class TeamChange(Asked):
    name: Name


class Publishing(Asked):
    allowed: bool


def shown(team: Team) -> TeamAnswer:
    return TeamAnswer(
        slug=team.slug,
        name=team.name,
        is_personal=team.is_personal,
        may_publish=team.may_publish,
        created_at=team.created_at,
    )


_state = state_of(shown, accounts.hold_team)


@route("GET", "/teams", Permission.SIGNED_IN, scope=Scope.READ, query=Search, answer=Teams)
def index(session: Session, query: Search) -> Teams:
    """Your teams; all teams of several to administrators."""
    rows, following = lists.by_name(session, pages.teams(me(), q=query.q), Team.name, Team.id, query)
    return Teams(items=[shown(team) for team in rows], next=following)


@route("POST", "/teams", Permission.SIGNED_IN, scope=Scope.TEAMS, body=NewTeam, answer=TeamAnswer, creates=True)
def create(session: Session, body: NewTeam) -> Answer:
    """Make a team, which you own. It may not publish before an administrator allows it."""
    team = accounts.create_team(session, slug=body.slug, name=body.name, owner=me())
    session.flush()
    return Answer(shown(team), location=f"/teams/{team.slug}")


@route("GET", "/teams/<team>", Permission.SEE_TEAM, a_team, scope=Scope.READ, answer=TeamAnswer, etag=True)
def show(session: Session, team: Team) -> TeamAnswer:
    """One team."""
    return shown(team)


@route(
    "PATCH",
    "/teams/<team>",
    Permission.MANAGE_TEAM,
    a_team,
    scope=Scope.TEAMS,
    body=TeamChange,
    answer=TeamAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, team: Team, body: TeamChange) -> TeamAnswer:
    """Rename a team. Its slug stays."""
    accounts.rename_team(team, body.name)
    return shown(team)


@route("DELETE", "/teams/<team>", Permission.MANAGE_TEAM, a_team, scope=Scope.TEAMS, match=_state)
def delete(session: Session, team: Team) -> None:
    """Delete a team with all that it owns, for good.

    Its APIs, plans, consumers, keys and upstream secrets go too. Teams whose consumers use its APIs are told by mail.
    A personal team stays as long as its person does (409).
    """
    lost = registry.delete_team(session, team)
    letters.apis_deleted(session, [(loss.team, loss.uses) for loss in lost], by=me())


@route(
    "PUT",
    "/teams/<team>/publishing",
    Permission.ADMINISTER,
    a_team,
    scope=Scope.ADMIN,
    body=Publishing,
    answer=TeamAnswer,
    etag=True,
    match=_state,
)
def allow_publishing(session: Session, team: Team, body: Publishing) -> TeamAnswer:
    """Let a team publish APIs, or no longer.

    Without the right, what is published stays, and nothing can be changed.
    """
    accounts.allow_publishing(team, body.allowed)
    return shown(team)
