"""Reports of keys that somebody found where they must not be.

Whoever reports is nobody to us, and must not learn which keys there are: every well-formed key is answered the same in
the same time, and the worker finds out. What was pasted is hashed at the door and goes no further.
"""

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import jobs, notify
from portal.accounts import audit
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry import keys
from portal.registry.models import Key

JOB = "leak"
LONGEST_PLACE = 500
_SECRET = re.compile(r"\bp(?:c[obc]|pt)_[0-9A-Za-z_:]{8,}")
"""What may be one of ours, in a text that is kept."""


def report(session: Session, pasted: str, *, found_at: str) -> None:
    """Have the worker look for it. Raises Invalid for what is no key by its form, whatever there is here.

    `found_at` is where it was found, in the reporter's words. Nothing that is raised quotes what was pasted.
    """
    token = Token(pasted.strip())
    if not keys.FORM.fullmatch(token.value) or not token.is_well_formed:
        raise Invalid(
            {
                "key": "This is no key of Portico's. One begins with pco_ and has 50 characters, a user name with its "
                "password begins with pcb_ and has a colon between them; the whole of it is needed. Copy it once more."
            }
        )
    # A hash of 160 random bits tells nobody anything, and is what the database has of a key anyway.
    jobs.enqueue(session, JOB, {"sha256": token.sha256.hex(), "found_at": masked(found_at)})


def masked(text: str) -> str:
    """One line of what a stranger wrote, without anything that could be a credential."""
    return _SECRET.sub("pco_…", " ".join(text.replace("\0", "").split()))[:LONGEST_PLACE]


def look_up(session: Session, payload: dict[str, Any]) -> str:
    """The worker's part: a key that there is, is revoked, and its team is told; what came of it for the log."""
    key = session.scalar(select(Key).where(Key.sha256 == bytes.fromhex(payload["sha256"])).with_for_update(of=Key))
    if key is None or key.revoked_at is not None:
        return ""
    found_at = str(payload["found_at"])
    was_alive = key.state_at(utcnow()) == "active"
    keys.revoke(session, key, leaked=True, found_at=found_at)
    audit.record(session, "reported as leaked", key, found_at=found_at)
    consumer = key.consumer
    label = f" “{key.label}”" if key.label else ""
    where = f"Where it was found, as the report says: {found_at}" if found_at else "The report does not say where."
    notify.tell(
        session,
        "key.leaked",
        teams=[consumer.team_id],
        subject=f"A key of {consumer.name} was made public and is revoked",
        text="\n\n".join(
            [
                f"Somebody found the key {key.shown}{label} of {consumer.name} and reported it. It is "
                "revoked: calls with it are refused from now on.",
                where,
                "Issue another key, and look through the calls with the old one for any that were not yours."
                if was_alive
                else "It had expired before. Look through its last calls for any that were not yours.",
            ]
        ),
        link=f"/consumers/{consumer.team.slug}/{consumer.slug}/keys/{key.public_id}",
        data={"consumer": f"{consumer.team.slug}/{consumer.slug}", "key": key.public_id, "found_at": found_at},
    )
    return f"The key {key.shown} was reported as leaked, and is revoked."
