"""People, for administrators. Deleting somebody asks for the administrator's password, and so is done on the page."""

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from flask_security import hash_password
from pydantic import Field
from sqlalchemy.orm import Session

from portal import accounts, letters
from portal.accounts import Permission, Person
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Search, Told
from portal.web import lists as pages
from portal.web.guards import a_person

route = tagged("People")

Email = Annotated[str, Field(min_length=3, max_length=254, examples=["jun@example.com"])]


class PersonAnswer(Told):
    id: int
    email: str
    name: str
    is_active: bool
    is_administrator: bool
    has_second_factor: bool
    must_change_password: bool
    created_at: Instant


class NewcomerAnswer(PersonAnswer):
    password: str | None
    """To hand over; told this once, and changed at the first sign-in. Null in an answer that is given again."""


class People(Listed):
    items: list[PersonAnswer]


class NewPerson(Asked):
    email: Email
    name: Name
    is_administrator: bool = False


class PersonChange(Asked):
    """What is left out stays."""

    name: Name | None = None
    is_active: bool | None = None
    is_administrator: bool | None = None


def normal_email(text: str) -> str:
    """Raises Invalid."""
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise Invalid({"email": "This is not an e-mail address. Write it as name@example.com."}) from None


def _facts(person: Person) -> dict[str, object]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "is_active": person.active,
        "is_administrator": person.is_administrator,
        "has_second_factor": person.has_second_factor,
        "must_change_password": person.must_change_password,
        "created_at": person.created_at,
    }


def shown(person: Person) -> PersonAnswer:
    return PersonAnswer.model_validate(_facts(person))


def _newcomer(person: Person, password: str | None) -> NewcomerAnswer:
    return NewcomerAnswer.model_validate(_facts(person) | {"password": password})


_state = state_of(shown)


@route("GET", "/people", Permission.ADMINISTER, scope=Scope.ADMIN, query=Search, answer=People)
def index(session: Session, query: Search) -> People:
    """Everybody who has an account, by name."""
    found, following = lists.by_name(session, pages.people(q=query.q), Person.name, Person.id, query)
    return People(items=[shown(person) for person in found], next=following)


def _with_password(body: NewPerson) -> tuple[str, str, str]:
    email, password = normal_email(body.email), accounts.new_password()
    return email, password, hash_password(password)


@route(
    "POST",
    "/people",
    Permission.ADMINISTER,
    scope=Scope.ADMIN,
    body=NewPerson,
    answer=NewcomerAnswer,
    creates=True,
    prepare=_with_password,
)
def create(session: Session, body: NewPerson, prepared: tuple[str, str, str]) -> Answer:
    """Make an account. The password is told in this answer only."""
    email, password, password_hash = prepared
    person = accounts.create_person(
        session,
        email=email,
        name=body.name,
        password_hash=password_hash,
        is_administrator=body.is_administrator,
        must_change_password=True,
    )
    session.flush()
    accounts.audit.record(session, "shown password", person)
    return Answer(_newcomer(person, password), location=f"/people/{person.id}", replayed=_newcomer(person, None))


@route(
    "GET", "/people/<int:person>", Permission.ADMINISTER, a_person, scope=Scope.ADMIN, answer=PersonAnswer, etag=True
)
def show(session: Session, somebody: Person) -> PersonAnswer:
    """One person."""
    return shown(somebody)


@route(
    "PATCH",
    "/people/<int:person>",
    Permission.ADMINISTER,
    a_person,
    scope=Scope.ADMIN,
    body=PersonChange,
    answer=PersonAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, somebody: Person, body: PersonChange) -> PersonAnswer:
    """Rename somebody, shut them out or let them in again, make them an administrator or no longer.

    The last administrator stays one (409). Who is shut out is signed out everywhere and loses the access tokens; keys
    of their teams go on working.
    """
    if body.name is not None:
        accounts.rename_person(somebody, body.name)
    if body.is_active is True:
        accounts.activate(somebody)
    if body.is_administrator is True and not somebody.is_administrator:
        accounts.appoint(somebody)
    if body.is_administrator is False and somebody.is_administrator:
        accounts.dismiss(session, somebody)
    if body.is_active is False:
        accounts.deactivate(session, somebody)
    session.flush()
    return shown(somebody)


def _new_password(somebody: Person) -> tuple[str, str]:
    password = accounts.new_password()
    return password, hash_password(password)


@route(
    "POST",
    "/people/<int:person>/password",
    Permission.ADMINISTER,
    a_person,
    scope=Scope.ADMIN,
    answer=NewcomerAnswer,
    prepare=_new_password,
)
def reset_password(session: Session, somebody: Person, prepared: tuple[str, str]) -> NewcomerAnswer:
    """Give somebody another password, told in this answer only. They are signed out everywhere, and told by mail."""
    password, password_hash = prepared
    accounts.set_password(somebody, password_hash, must_change_password=True)
    letters.password_changed(session, somebody)
    accounts.audit.record(session, "shown password", somebody)
    return _newcomer(somebody, password)


@route("DELETE", "/people/<int:person>/second-factor", Permission.ADMINISTER, a_person, scope=Scope.ADMIN)
def take_off_second_factor(session: Session, somebody: Person) -> None:
    """Let somebody who has lost app and recovery codes sign in with the password alone. They are told by mail."""
    accounts.second_factor.take_off(somebody)
    letters.second_factor_off(session, somebody)
