"""Telling people: one verb for whoever has something to say, and the worker's part, which finds out who hears of it.

The verb only stores, so that a transaction in the gateway's node or in the ingest can say something, too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import jobs
from portal.accounts.models import Membership, Person, Role, Team
from portal.config import Config
from portal.db import db, utcnow
from portal.notify import choices
from portal.notify.bodies import Message
from portal.notify.events import EVENTS, Event
from portal.notify.mail import mail
from portal.notify.models import Channel, Notice, NoticeCopy, Way
from portal.notify.queue import new_message_id, queue

KIND = "notice"
_MOST_SUBJECT = 200


def tell(
    session: Session,
    event: str,
    *,
    teams: Iterable[Team | int] = (),
    persons: Iterable[Person | int] = (),
    subject: str,
    text: str,
    link: str = "",
    data: Mapping[str, Any] | None = None,
    but: Person | int | None = None,
) -> None:
    """Have teams and persons (or their ids) told, once the caller's transaction has committed.

    `event` is a word of `EVENTS`, which says who of a team hears of it. `text` is plain and needs no greeting, and
    neither names the portal's address nor repeats `link`, which is a path of this portal such as "/consumers/a/shop".
    `data` is told to programs: names, ids and numbers as JSON. Nothing of it all may be a secret: it is stored in
    clear, and listed. `but` is who did it, and is not told. Who hears of it as a member of a team and by
    name as well hears of it once. Raises LookupError for an event that there is not, ValueError for another link.
    """
    if event not in EVENTS:
        raise LookupError(f"{event} is no event. Give it a line in portal/notify/events.py.")
    if link and (not link.startswith("/") or link.startswith("//")):
        raise ValueError(f"{link} is no path of this portal.")
    subject = " ".join(subject.split())[:_MOST_SUBJECT]
    team_ids = dict.fromkeys(team if isinstance(team, int) else team.id for team in teams)
    person_ids = dict.fromkeys(person if isinstance(person, int) else person.id for person in persons)
    notices = [
        Notice(
            public_id=new_message_id(),
            event=event,
            team_id=team_id,
            person_id=person_id,
            subject=subject,
            text=text.strip(),
            link=link,
            data=dict(data or {}),
        )
        for team_id, person_id in [*((each, None) for each in team_ids), *((None, each) for each in person_ids)]
    ]
    if not notices:
        return
    session.add_all(notices)
    session.flush()  # the job names them by number
    not_to = but.id if isinstance(but, Person) else but
    jobs.enqueue(session, KIND, {"notices": [notice.id for notice in notices], "but": not_to})


def spread(config: Config, payload: dict[str, Any]) -> str:
    """The worker's part: everybody whom these notices concern gets a copy or a mail or both, as they have chosen, and
    the team's channels a delivery."""
    with db.begin() as session:
        notices = session.scalars(
            select(Notice)
            .where(Notice.id.in_(payload["notices"]), Notice.spread_at.is_(None))
            .order_by(Notice.id)
            .with_for_update()
        ).all()
        told: set[int] = {payload["but"]} if payload["but"] else set()
        for notice in notices:
            event = EVENTS.get(notice.event)
            if event is not None:
                _to_people(session, config, notice, event, told)
                _to_channels(session, config, notice)
            notice.spread_at = utcnow()
    return ""


def _to_people(session: Session, config: Config, notice: Notice, event: Event, told: set[int]) -> None:
    """`told` are those who have heard of it by another of these notices."""
    hearers = [(person, role) for person, role in _hearers(session, notice, event) if person.id not in told]
    found = choices.chosen(session, [person.id for person, _ in hearers], [event.word])
    for person, role in hearers:
        told.add(person.id)
        if choices.wants(found, person.id, event, Way.PORTAL, role):
            session.add(NoticeCopy(notice_id=notice.id, person_id=person.id))
        if choices.wants(found, person.id, event, Way.MAIL, role):
            _write(session, config, notice, event, person)


def _hearers(session: Session, notice: Notice, event: Event) -> list[tuple[Person, Role | None]]:
    """With the role in the team that is told; None for somebody who is told by name."""
    if notice.person is not None:
        return [(notice.person, None)] if notice.person.active else []
    members = session.scalars(
        select(Membership)
        .where(Membership.team_id == notice.team_id)
        .options(joinedload(Membership.person))
        .order_by(Membership.id)
    )
    return [
        (member.person, member.role) for member in members if member.person.active and choices.hears(event, member.role)
    ]


def _write(session: Session, config: Config, notice: Notice, event: Event, person: Person) -> None:
    """Who has not confirmed an address may be a stranger to it, and reads no word that another stranger has typed."""
    if person.confirmed_at is None:
        subject, text, link = event.title, f"{event.title} at {config.url}. Sign in to see which one.", "/notices"
    else:
        subject, text, link = notice.subject, notice.text, notice.link
    parts = [text, f"{config.url}{link}"] if link else [text]
    stop = ""
    if event.must:
        parts.append("-- \nMails of this kind concern your security and cannot be switched off.")
    else:
        stop = f"{config.url}/unsubscribe/{choices.Unsubscribing(config).token(person, event)}"
        parts.append(f"-- \nChoose what you get: {config.url}/settings/notices\nGet no more mails of this kind: {stop}")
    mail(session, config, to=person.email, subject=subject, text="\n\n".join(parts) + "\n", unsubscribe=stop)


def _to_channels(session: Session, config: Config, notice: Notice) -> None:
    """Not to the channel that the notice is about."""
    if notice.team is None:
        return
    message = Message(
        event=notice.event,
        at=notice.created_at,
        team=notice.team.slug,
        subject=notice.subject,
        text=notice.text,
        link=f"{config.url}{notice.link}" if notice.link else "",
        data=notice.data,
    )
    for channel in session.scalars(
        select(Channel).where(Channel.team_id == notice.team_id, Channel.paused_at.is_(None)).order_by(Channel.id)
    ):
        if notice.event in channel.events and notice.data.get("channel") != channel.name:
            queue(session, channel, message, message_id=notice.public_id, notice_id=notice.id)
