"""Telling people: one verb for whoever has something to say, and the worker's part, which finds out who hears of it.

The verb only stores, so that a transaction in the gateway's node or in the ingest can say something, too.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import jobs
from portal.accounts.models import Membership, Person, Role, Team
from portal.config import Config
from portal.db import db, utcnow
from portal.notify.events import EVENTS, Event
from portal.notify.mail import mail
from portal.notify.models import Notice

KIND = "notice"
_MOST_SUBJECT = 200
_RANK = {role: rank for rank, role in enumerate(Role)}


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
    clear, and listed. `but` is who did it and need not be told by a mail. Who hears of it as a member of a team and by
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
            public_id=f"msg_{secrets.token_hex(16)}",
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
    """The worker's part: everybody whom these notices concern gets a mail, or is left alone."""
    with db.begin() as session:
        notices = session.scalars(
            select(Notice)
            .where(Notice.id.in_(payload["notices"]), Notice.spread_at.is_(None))
            .order_by(Notice.id)
            .with_for_update()
        ).all()
        told: set[int] = set()
        for notice in notices:
            event = EVENTS.get(notice.event)
            if event is not None:
                for person, role in _hearers(session, notice, event):
                    if person.id not in told and person.id != payload["but"] and _is_mailed(event, role):
                        told.add(person.id)
                        _write(session, config, notice, event, person)
            notice.spread_at = utcnow()
    return ""


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
        (member.person, member.role)
        for member in members
        if member.person.active and _RANK[member.role] >= _RANK[event.heard_from]
    ]


def _is_mailed(event: Event, role: Role | None) -> bool:
    return event.must or role is None or _RANK[role] >= _RANK[event.mailed_from]


def _write(session: Session, config: Config, notice: Notice, event: Event, person: Person) -> None:
    """Who has not confirmed an address may be a stranger to it, and reads no word that another stranger has typed."""
    if person.confirmed_at is None:
        subject, text, link = event.title, f"{event.title} at {config.url}. Sign in to see which one.", "/"
    else:
        subject, text, link = notice.subject, notice.text, notice.link
    parts = [text, *([f"{config.url}{link}"] if link else [])]
    mail(session, config, to=person.email, subject=subject, text="\n\n".join(parts) + "\n")
