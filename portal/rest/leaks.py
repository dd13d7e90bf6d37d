"""Reports of leaked keys, by anybody: no access token is asked for."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.registry.leaks import LONGEST_PLACE
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Told
from portal.web import leaks

route = tagged("Leaks")


class LeakReport(Asked):
    key: Annotated[str, Field(min_length=1, max_length=500)]
    """The whole key, as it was found."""
    found_at: Annotated[str, Field(max_length=LONGEST_PLACE)] = ""
    """Where that was: an address, or a few words. The key's owners are told."""


class LeakTaken(Told):
    detail: str
    """The same for every key."""


@route(
    "POST",
    "/leaks",
    Permission.PUBLIC,
    scope=None,
    body=LeakReport,
    answer=LeakTaken,
    status=202,
    problems=(429,),
    prepare=lambda body: leaks.take(body.key, body.found_at),
)
def report(session: Session, body: LeakReport, prepared: None) -> LeakTaken:
    """Report a key that was found where it must not be. No access token is needed.

    A key that works is revoked within seconds, and its owners are told. The answer is the same whether it works or not.
    """
    return LeakTaken(detail=leaks.THANKS)
