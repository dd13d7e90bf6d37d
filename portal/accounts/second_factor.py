"""The second factor: codes of an app (TOTP, RFC 6238), and recovery codes for the day when the app is lost. The verbs.

Secrets and recovery codes come in sealed; making and opening them is Flask-Security's work, at the edge.
"""

import hashlib
import json
from collections.abc import Callable

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from portal.accounts.models import Person
from portal.config import Config
from portal.errors import Conflict
from portal.vault import derived

METHOD = "authenticator"
"""What Flask-Security calls an app that shows codes."""


def is_required(person: Person, of: str) -> bool:
    """`of` is `nobody`, `administrators` or `everybody`."""
    return of == "everybody" or (of == "administrators" and person.is_administrator)


def put_on(person: Person, sealed_secret: str, step: int) -> None:
    """From the next sign-in on a code is asked for. `step` is that of the code that confirmed it, which is used up."""
    person.tf_primary_method = METHOD
    person.tf_totp_secret = sealed_secret
    person.tf_last_step = step


def take_off(person: Person) -> None:
    """The password alone signs in again; recovery codes go too. Raises Conflict when there is nothing to take off."""
    if not person.has_second_factor:
        raise Conflict(f"{person.name} has no second factor.")
    person.tf_primary_method = person.tf_totp_secret = person.tf_last_step = person.mf_recovery_codes = None


def use_step(session: Session, person_id: int, step: int) -> bool:
    """Use up the code of this time step (30 seconds since 1970, counted); False when it, or a later one, was used.

    RFC 6238, 5.2: a code is accepted once. Of two requests at once with the same code one gets True.
    """
    fresh = or_(Person.tf_last_step.is_(None), Person.tf_last_step < step)
    done = session.execute(update(Person).where(Person.id == person_id, fresh).values(tf_last_step=step))
    return bool(done.rowcount)  # type: ignore[attr-defined]


def use_recovery_code(session: Session, person_id: int, fits: Callable[[str], bool]) -> bool:
    """Take the sealed code that `fits` off the person's list; False when none does. Two at once cannot use the same."""
    person = session.get(Person, person_id, with_for_update=True, populate_existing=True)
    codes = (person.mf_recovery_codes or []) if person is not None else []
    chosen = next((code for code in codes if fits(code)), None)
    if person is None or chosen is None:
        return False
    person.mf_recovery_codes = [code for code in codes if code is not chosen]
    return True


def wallet(config: Config) -> dict[str, str]:
    """Name of a key -> key, the newest first: passlib seals the secrets of apps with it, and writes the name beside."""
    return {hashlib.sha256(key).hexdigest()[:8]: key.hex() for key in derived(config, "second factor")}


def unreadable(session: Session, config: Config) -> int:
    """How many people's second factors no present key opens. By the key's name: opening is slow on purpose."""
    names = wallet(config).keys()
    sealed = session.scalars(select(Person.tf_totp_secret).where(Person.tf_totp_secret.is_not(None)))
    return sum(_key_of(str(each)) not in names for each in sealed)


def _key_of(sealed: str) -> str | None:
    """https://passlib.readthedocs.io/en/stable/lib/passlib.totp.html, “JSON format”."""
    try:
        return str(json.loads(sealed)["enckey"]["t"])
    except (ValueError, LookupError, TypeError):
        return None
