"""What people choose to be told of, and how."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts.models import Person, Role
from portal.config import Config, kept_secret
from portal.errors import Conflict, LinkDead
from portal.notify.events import EVENTS, Event
from portal.notify.models import NoticeChoice, Way

RANK = {role: rank for rank, role in enumerate(Role)}

Chosen = Mapping[tuple[int, str, Way], bool]
"""Person, event and way -> whether it is wanted; what is not in it is as the event says."""


def chosen(session: Session, person_ids: Collection[int], events: Collection[str]) -> Chosen:
    rows = session.scalars(
        select(NoticeChoice).where(NoticeChoice.person_id.in_(person_ids), NoticeChoice.event.in_(events))
    )
    return {(row.person_id, row.event, row.way): row.wanted for row in rows}


def hears(event: Event, role: Role) -> bool:
    """Whether what is told to a team concerns a member of this role."""
    return RANK[role] >= RANK[event.heard_from]


def unasked(event: Event, way: Way, role: Role | None) -> bool:
    """What comes without a choice. `role` is None for who is told by name."""
    return way is Way.PORTAL or event.must or role is None or RANK[role] >= RANK[event.mailed_from]


def wants(found: Chosen, person_id: int, event: Event, way: Way, role: Role | None) -> bool:
    if event.must:
        return True
    return found.get((person_id, event.word, way), unasked(event, way, role))


def choose(session: Session, person: Person, event: str, way: Way, wanted: bool) -> None:
    """Raises LookupError for an event that there is not, Conflict for one that cannot be switched off."""
    if event not in EVENTS:
        raise LookupError(f"{event} is no event.")
    if EVENTS[event].must and not wanted:
        raise Conflict(f"“{EVENTS[event].title}” concerns your security and cannot be switched off.")
    row = session.scalar(
        select(NoticeChoice).where(
            NoticeChoice.person_id == person.id, NoticeChoice.event == event, NoticeChoice.way == way
        )
    )
    if row is None:
        session.add(NoticeChoice(person_id=person.id, event=event, way=way, wanted=wanted))
    else:
        row.wanted = wanted


@dataclass(frozen=True, slots=True)
class Shown:
    """One cell of the table in which a person chooses."""

    event: Event
    way: Way
    wanted: bool
    is_chosen: bool
    """By the person; else it is as everybody has it who has their roles."""


def shown_to(session: Session, person: Person) -> list[Shown]:
    """Event by event, and of each every way. What nobody chose is shown as it is in the team of several in which they
    may most; everybody owns a personal one."""
    found = chosen(session, [person.id], list(EVENTS))
    shared = [membership for membership in person.memberships if not membership.team.is_personal]
    best = max((each.role for each in shared or person.memberships), key=RANK.__getitem__, default=None)
    return [
        Shown(
            event,
            way,
            wants(found, person.id, event, way, best),
            (person.id, event.word, way) in found and not event.must,
        )
        for event in EVENTS.values()
        for way in Way
    ]


def gets_mail(session: Session, person: Person, event: Event) -> bool:
    """Whether mails of this kind may reach the person at all."""
    return chosen(session, [person.id], [event.word]).get((person.id, event.word, Way.MAIL), True)


def forget(session: Session, person: Person) -> None:
    """From now on everything is as it is without a choice."""
    session.execute(delete(NoticeChoice).where(NoticeChoice.person_id == person.id))


class Unsubscribing:
    """Links that end mails of one kind to one person without signing in. They do nothing else, and last."""

    def __init__(self, config: Config) -> None:
        key = config.secret_key or kept_secret(config.data_dir, "secret_key")
        self._serializer = URLSafeSerializer(key, salt="portico-unsubscribe")

    def token(self, person: Person, event: Event) -> str:
        text = self._serializer.dumps([person.id, event.word])
        return text if isinstance(text, str) else text.decode()

    def read(self, session: Session, token: str) -> tuple[Person, Event]:
        """Raises LinkDead."""
        try:
            person_id, word = self._serializer.loads(token)
        except (BadData, ValueError, TypeError):
            raise LinkDead("Choose what you get under Settings, Notices.") from None
        person = session.get(Person, person_id)
        if person is None or person.deleted_at is not None or word not in EVENTS:
            raise LinkDead("Choose what you get under Settings, Notices.")
        return person, EVENTS[word]
