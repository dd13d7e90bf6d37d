"""Live settings of an API that its files hold beside its document: one line each, here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from portal.registry import apis
from portal.registry.models import Api


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    """In the files."""
    kind: Any
    """As pydantic takes it; see `words.py`. Collections are tuples in a stable order."""
    default: Any
    """What a file means that leaves it out."""
    read: Callable[[Api], Any]
    write: Callable[[Session, Api, Any], None]
    """Called for a value that is another one than `read` gives, when every API of the files is there."""
    only_live: bool = False
    """Whether it means something for published APIs alone; drafts have its default."""


def _pause(session: Session, api: Api, paused: bool) -> None:
    (apis.pause if paused else apis.resume)(session, api)


SETTINGS: tuple[Setting, ...] = (Setting("paused", bool, False, lambda api: api.paused, _pause, only_live=True),)
