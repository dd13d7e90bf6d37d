"""Keys: their form, their birth, their end. The key filter of the gateway has the reader's half of the form."""

import re
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from portal import bearer
from portal.accounts.models import Person
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import revision
from portal.registry.models import Consumer, Key

FORM = re.compile(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}")
"""What a secret scanner looks for."""
TOMBSTONE = timedelta(days=30)
"""How long a dead key is told from an unknown one."""


def new_token(public_id: str | None = None) -> Token:
    """A key: `pco_` and the rest as `bearer.py` has it."""
    return bearer.new_token("pco_", public_id)


def issue(
    session: Session,
    consumer: Consumer,
    *,
    by: Person | None,
    label: str = "",
    expires_at: datetime | None = None,
    public_id: str | None = None,
) -> tuple[Key, Token]:
    """The token must be shown now: it is stored nowhere. Raises Invalid for an expiry that has passed.

    A form that chooses the `public_id` beforehand makes one key however often it is sent: the second time raises
    Conflict.
    """
    if expires_at is not None and expires_at <= utcnow():
        raise Invalid({"expires_at": "This time has passed. Choose a later one, or none."})
    token = new_token(public_id)
    try:
        with session.begin_nested():  # the insert happens here, so that a second one is told from other conflicts
            key = Key(
                public_id=token.public_id,
                sha256=token.sha256,
                consumer=consumer,
                label=" ".join(label.split()),
                expires_at=expires_at,
                created_by=by,
            )
            session.add(key)
    except IntegrityError:
        raise Conflict(
            f"This form was sent before, and the key pco_{token.public_id}_… was made then. Its secret was shown once, "
            "in the first answer. If you do not have it, revoke that key and issue another."
        ) from None
    revision.touch(session)
    return key, token


def take_over_key(
    session: Session,
    consumer: Consumer,
    *,
    public_id: str,
    sha256: bytes,
    label: str = "",
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
) -> Key:
    """A key that was issued elsewhere: its hash is all that is known of it. Raises Conflict when it is here already."""
    if session.scalar(select(Key.id).where(or_(Key.public_id == public_id, Key.sha256 == sha256))):
        raise Conflict(f"The key pco_{public_id}_… belongs to another consumer here. Take it out, or revoke that one.")
    key = Key(
        public_id=public_id,
        sha256=sha256,
        consumer=consumer,
        label=" ".join(label.split()),
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
    session.add(key)
    revision.touch(session)
    return key


def change_key(session: Session, key: Key, *, label: str, expires_at: datetime | None) -> None:
    """Its secret stays. An expiry that has passed ends it at once."""
    key.label = " ".join(label.split())
    if key.expires_at != expires_at:
        key.expires_at = expires_at
        revision.touch(session)


def revoke(session: Session, key: Key, *, at: datetime | None = None) -> None:
    """The gateway refuses the key within a second. Revoking a revoked key changes nothing.

    `at` is when somebody decided it elsewhere, for a key that was issued there.
    """
    if key.revoked_at is None:
        key.revoked_at = at or utcnow()
        revision.touch(session)


def bury(session: Session, *, now: datetime) -> int:
    """Delete keys that were dead for longer than a tombstone lasts; how many."""
    long_ago = now - TOMBSTONE
    # One by one, not in one statement, so that the trail has each; consumers come along for whose they were.
    chosen = select(Key).where((Key.revoked_at < long_ago) | (Key.expires_at < long_ago))
    gone = session.scalars(chosen.options(joinedload(Key.consumer))).all()
    for key in gone:
        session.delete(key)
    if gone:
        revision.touch(session)
    return len(gone)
