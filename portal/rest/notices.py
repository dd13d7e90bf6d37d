"""Your own notices, and what you choose to be told."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.notify import bell, choices
from portal.notify.events import EVENTS
from portal.notify.models import NoticeCopy, Way
from portal.rest import lists
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Flag, Instant, Listed, Paging, Told
from portal.web.guards import me
from portal.web.intake import LARGEST_ID

route = tagged("Notices")


class NoticeAnswer(Told):
    id: int
    event: str
    """A word such as `key.expiring`."""
    team: str | None
    """Null for what was told to you by name."""
    subject: str
    text: str
    link: str
    """A path of this portal, or empty."""
    at: Instant
    read_at: Instant | None


class Notices(Listed):
    items: list[NoticeAnswer]
    unread: int
    """Of all pages; 100 stands for more than 99."""


class NoticeSearch(Paging):
    unread: Flag = False


class ReadUpTo(Asked):
    id: Annotated[int, Field(ge=1, le=LARGEST_ID)]
    """The newest that was seen: it and all before it are marked as read."""


class ChoiceAnswer(Told):
    event: str
    title: str
    portal: bool
    mail: bool
    can_change: bool
    """False for what concerns your security."""


class ChoicesAnswer(Told):
    items: list[ChoiceAnswer]


class ChoiceChange(Asked):
    event: Annotated[str, Field(max_length=50)]
    portal: bool | None = None
    mail: bool | None = None


class ChoicesAsked(Asked):
    items: Annotated[list[ChoiceChange], Field(max_length=100)]
    """What is left out stays."""


@route("GET", "/me/notices", Permission.SIGNED_IN, scope=Scope.READ, query=NoticeSearch, answer=Notices)
def index(session: Session, query: NoticeSearch) -> Notices:
    """What was told to you, the newest first."""
    rows = select(NoticeCopy).where(NoticeCopy.person_id == me().id)
    if query.unread:
        rows = rows.where(NoticeCopy.read_at.is_(None))
    found, following = lists.by_number(session, rows, NoticeCopy.id, query)
    items = [
        NoticeAnswer(
            id=copy.id,
            event=copy.notice.event,
            team=copy.notice.team.slug if copy.notice.team else None,
            subject=copy.notice.subject,
            text=copy.notice.text,
            link=copy.notice.link,
            at=copy.notice.created_at,
            read_at=copy.read_at,
        )
        for copy in found
    ]
    return Notices(items=items, unread=bell.unread(session, me().id), next=following)


@route("POST", "/me/notices/read", Permission.SIGNED_IN, scope=Scope.TEAMS, body=ReadUpTo)
def read(session: Session, body: ReadUpTo) -> None:
    """Mark notices as read."""
    bell.mark_all(session, me().id, up_to=body.id, now=utcnow())


@route("GET", "/me/notice-choices", Permission.SIGNED_IN, scope=Scope.READ, answer=ChoicesAnswer)
def chosen(session: Session) -> ChoicesAnswer:
    """What you are told of, and how."""
    return _chosen(session)


def _chosen(session: Session) -> ChoicesAnswer:
    wanted = {(each.event.word, each.way): each.wanted for each in choices.shown_to(session, me())}
    return ChoicesAnswer(
        items=[
            ChoiceAnswer(
                event=event.word,
                title=event.title,
                portal=wanted[event.word, Way.PORTAL],
                mail=wanted[event.word, Way.MAIL],
                can_change=not event.must,
            )
            for event in EVENTS.values()
        ]
    )


@route(
    "PATCH",
    "/me/notice-choices",
    Permission.SIGNED_IN,
    scope=Scope.TEAMS,
    body=ChoicesAsked,
    answer=ChoicesAnswer,
    problems=(409,),
)
def choose(session: Session, body: ChoicesAsked) -> ChoicesAnswer:
    """Choose what you are told of. What concerns your security cannot be switched off (409)."""
    unknown = {
        f"items.{number}.event": f"There is no event {each.event}."
        for number, each in enumerate(body.items)
        if each.event not in EVENTS
    }
    if unknown:
        raise Invalid(unknown)
    for each in body.items:
        for way, wanted in ((Way.PORTAL, each.portal), (Way.MAIL, each.mail)):
            if wanted is not None:
                choices.choose(session, me(), each.event, way, wanted)
    session.flush()
    return _chosen(session)
