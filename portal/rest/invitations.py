"""Invitations, for administrators: mails with a link to an account."""

from sqlalchemy.orm import Session

from portal import accounts, letters
from portal.accounts import Invitation, Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.rest import lists
from portal.rest.people import Email, normal_email
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Instant, Listed, Search, Told
from portal.web import lists as pages
from portal.web.guards import an_invitation, me

route = tagged("Invitations")


class InvitationAnswer(Told):
    id: int
    email: str
    invited_by: str | None
    sent_at: Instant
    """When the newest mail was sent; the links of those before no longer work."""
    ends_at: Instant
    """Until when its link works."""


class Invitations(Listed):
    items: list[InvitationAnswer]


class NewInvitation(Asked):
    email: Email


def shown(invitation: Invitation) -> InvitationAnswer:
    by = invitation.invited_by
    return InvitationAnswer(
        id=invitation.id,
        email=invitation.email,
        invited_by=by.name if by and by.deleted_at is None else None,
        sent_at=invitation.sent_at,
        ends_at=invitation.sent_at + accounts.INVITATION_LASTS,
    )


@route("GET", "/invitations", Permission.ADMINISTER, scope=Scope.ADMIN, query=Search, answer=Invitations)
def index(session: Session, query: Search) -> Invitations:
    """Invitations that nobody has accepted yet, by address."""
    rows = pages.invitations(q=query.q)
    found, following = lists.by_name(session, rows, Invitation.email, Invitation.id, query)
    return Invitations(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    "/invitations",
    Permission.ADMINISTER,
    scope=Scope.ADMIN,
    body=NewInvitation,
    answer=InvitationAnswer,
    creates=True,
)
def invite(session: Session, body: NewInvitation) -> Answer:
    """Invite somebody by mail."""
    invited = accounts.invite(session, email=normal_email(body.email), by=me(), now=utcnow())
    letters.invitation(session, invited, me())
    return Answer(shown(invited), location=f"/invitations/{invited.id}")


@route(
    "GET",
    "/invitations/<int:invitation>",
    Permission.ADMINISTER,
    an_invitation,
    scope=Scope.ADMIN,
    answer=InvitationAnswer,
)
def show(session: Session, invitation: Invitation) -> InvitationAnswer:
    """One invitation."""
    return shown(invitation)


@route(
    "POST",
    "/invitations/<int:invitation>/send",
    Permission.ADMINISTER,
    an_invitation,
    scope=Scope.ADMIN,
    answer=InvitationAnswer,
)
def send(session: Session, invitation: Invitation) -> InvitationAnswer:
    """Send the mail again, with another link."""
    accounts.send_anew(invitation, now=utcnow())
    letters.invitation(session, invitation, me())
    session.flush()
    return shown(invitation)


@route("DELETE", "/invitations/<int:invitation>", Permission.ADMINISTER, an_invitation, scope=Scope.ADMIN)
def withdraw(session: Session, invitation: Invitation) -> None:
    """Withdraw an invitation. Its link stops working."""
    accounts.withdraw(session, invitation)
