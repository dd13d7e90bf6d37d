"""The one number that nodes watch."""

from sqlalchemy import Connection, event, select, update
from sqlalchemy.orm import Session, SessionTransaction

from portal.registry.models import Revision

_CHANGED = "portal.registry.revision"


def touch(session: Session) -> None:
    """Say that this transaction changes what nodes must know. The revision grows once, last before the commit."""
    session.info[_CHANGED] = True


def grow(connection: Connection) -> None:
    """The same for a transaction without a session, where nothing may come after."""
    connection.execute(update(Revision).values(n=Revision.n + 1))


def current(session: Session) -> int:
    return session.scalar(select(Revision.n)) or 0


@event.listens_for(Session, "before_commit")
def _grow(session: Session) -> None:
    if session.in_nested_transaction() or not session.info.pop(_CHANGED, False):
        return
    session.flush()  # the row lock on the revision is held from here to the commit: nothing else may come after
    session.execute(update(Revision).values(n=Revision.n + 1))


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:  # a savepoint that is given up takes nothing back of what was said before it
        session.info.pop(_CHANGED, None)
