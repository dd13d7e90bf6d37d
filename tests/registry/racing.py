"""Several people at once: what the tests of races share."""

import threading
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from portal.errors import PortalError

LOST = (PortalError, IntegrityError, NoResultFound, StaleDataError)
"""What somebody meets whose thing is gone; pages answer all of them with 404 or 409."""


def at_once(engine: Engine, *acts: Callable[[Session], object]) -> list[Exception | None]:
    """Runs each function in a transaction and a thread of its own, all begun together; what each of them raised."""
    raised: list[Exception | None] = [None] * len(acts)
    together = threading.Barrier(len(acts))

    def one(number: int, act: Callable[[Session], object]) -> None:
        with Session(engine) as session:
            together.wait()
            session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            try:
                act(session)
                session.commit()
            except LOST as error:
                raised[number] = error

    threads = [threading.Thread(target=one, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised
