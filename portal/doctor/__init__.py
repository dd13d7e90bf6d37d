"""What is wrong with this installation, each in a sentence with its remedy. This finds; a command and a page show.

| part      | looks at                                                 |
| --------- | -------------------------------------------------------- |
| settings  | what the settings say of each other                      |
| folder    | the data folder, its disk, the limits of this process    |
| envoy     | Envoy, whether the gateway answers, what it shows        |
| mail      | the mail server, letters that lie in the folder          |
| database  | its schema, its state, what should have gone             |
| sealed    | secrets that the present keys cannot open                |
| work      | nodes, the worker, its jobs                              |
| tokens    | keys of issuers that cannot be fetched                   |

A command examines everything. A page takes a `glance` of its own, since that costs a few statements, and shows beside
it what the worker has seen when it last took a closer look (`kept`).
"""

from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal.config import Config
from portal.db import utcnow
from portal.doctor import database, envoy, folder, mail, sealed, settings, tokens, work
from portal.doctor.finding import Finding
from portal.doctor.kept import EVERY, KIND, Examination, NobodyLooks, ask, keep, last

__all__ = [
    "EVERY",
    "KIND",
    "Examination",
    "Finding",
    "NobodyLooks",
    "ask",
    "closer",
    "examine",
    "glance",
    "keep",
    "last",
]


def glance(config: Config, session: Session) -> list[Finding]:
    """What costs no more than a few statements."""
    return [*settings.findings(config), *work.findings(session, utcnow()), *tokens.findings(session)]


def closer(config: Config, engine: Engine) -> list[Finding]:
    """What a glance leaves out: it runs Envoy, asks servers and reads tables. Takes up to a minute; changes nothing.

    Raises nothing: what cannot be asked is a finding.
    """
    return [*_outside(config, engine), *database.asked(engine, lambda session: _inside(config, session))]


def examine(config: Config, engine: Engine) -> list[Finding]:
    """Everything, and all of a SQLite file is read, which is long for a large one. Changes and raises nothing."""

    def inside(session: Session) -> Iterator[Finding]:
        yield from database.of_file(session)
        yield from work.findings(session, utcnow())
        yield from tokens.findings(session)
        yield from _inside(config, session)

    return [*settings.findings(config), *_outside(config, engine), *database.asked(engine, inside)]


def _outside(config: Config, engine: Engine) -> Iterator[Finding]:
    yield from folder.findings(config)
    yield from envoy.of_machine(config)
    yield from envoy.of_gateway(config, engine)
    yield from mail.findings(config)


def _inside(config: Config, session: Session) -> Iterator[Finding]:
    yield from database.of_server(session)
    yield from database.of_tables(config, session, utcnow())
    yield from sealed.findings(config, session, utcnow())
