"""What somebody finds by a few letters: of each kind the best few, and where all of them are.

Every statement begins with what the person may know of, so that nothing else is counted, cut off, or hinted at.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flask import current_app, url_for
from sqlalchemy import func
from sqlalchemy.orm import Session

from portal.accounts import Permission, Person
from portal.db import utcnow
from portal.registry.cards import Card
from portal.registry.catalogue import Wish, look
from portal.registry.folding import words_asked, words_of
from portal.registry.models import Api, Consumer, Key
from portal.traffic import calls
from portal.web import guards, lists, navigation, scopes, settings
from portal.web.catalogue import docs_address
from portal.web.why import id_in

FEW = 5
MOST_KEYS = 50
_LEAST_OF_KEY = 3
"""Characters of a key's id by which it is looked for: fewer fit any."""
_KEY = re.compile(r"pc[ob]_([0-9A-Za-z]{0,12})[_:]?|([0-9A-Za-z]{12})")


@dataclass(frozen=True, slots=True)
class Hit:
    label: str
    url: str
    icon: str
    detail: str = ""
    state: str = ""
    """A word for a badge."""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    word: str
    title: str
    hits: list[Hit] = field(default_factory=list)
    more: tuple[str, str] | None = None
    """What all of its results are called, and where they are."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A page, or what one does there."""

    label: str
    endpoint: str
    icon: str
    words: str = ""
    """By which it is found, too."""


_PAGES = (
    _Place("Why was a call refused?", "why.show", "help-circle", "request id error explain"),
    _Place("Unused keys", "keys.unused", "key", "revoke old"),
    _Place("Your notices", "notices.index", "bell"),
    _Place("Second factor", "second_factor.show", "shield-lock", "totp 2fa mfa"),
    _Place("Change password", "security.change_password", "lock"),
    _Place("Invitations", "invitations.index", "mail"),
    _Place("Report a leaked key", "leaks.report", "alert-triangle", "leak secret"),
)
_ACTIONS = (
    _Place("Find an API to call", "catalogue.index", "books", "subscribe"),
    _Place("Make consumer", "consumers.new", "plus", "new application app create add"),
    _Place("Register API", "apis.new", "plus", "new create add"),
    _Place("Import API", "imports.new", "upload", "openapi swagger new"),
    _Place("Make plan", "plans.new", "plus", "new limits quota create add"),
    _Place("Make team", "settings.new_team", "plus", "new create add"),
    _Place("Make access token", "access_tokens.new", "plus", "new rest api create add"),
    _Place("Add person", "people.new", "plus", "new user account create"),
    _Place("Invite somebody", "invitations.new", "mail", "new user person"),
)
_OF_PUBLISHERS = {"apis.new", "imports.new", "plans.new"}
"""Pages that open for everybody, and tell who may publish in no team that they may not."""


def find(session: Session, person: Person, typed: str, *, only: str = "") -> list[Group]:
    """Of nothing typed it is the pages and actions. `only` is the word of one kind, which then has more than a few."""
    if only == "keys":
        return [group for group in [_keys(session, person, typed, most=MOST_KEYS)] if group.hits]
    if not typed:
        return [Group("pages", "Pages", _all(_pages())), Group("actions", "Actions", _all(_actions()))]
    asked = words_asked(typed)
    cards, more = _catalogue(session, person, typed)
    found = [
        _call(session, person, typed),
        _keys(session, person, typed, most=FEW),
        Group("pages", "Pages", _fitting(_pages(), asked)),
        Group("actions", "Actions", _fitting(_actions(), asked)),
        Group("apis", "APIs", _apis(session, person, typed, cards), more),
        Group("operations", "Operations", _operations(cards)),
        _consumers(session, person, typed),
    ]
    return [group for group in found if group.hits]


def leads_to(session: Session, person: Person, typed: str) -> str | None:
    """Where there is only one thing that can be meant: a call by its id, an own key by the whole of what is shown."""
    if (request_id := id_in(typed)) is not None:
        return url_for("why.show", id=request_id)
    wanted = _key_id(typed)
    hits = _keys(session, person, typed, most=1).hits if wanted is not None and len(wanted) == 12 else []
    return hits[0].url if hits else None


def begins_a_key(typed: str) -> bool:
    """Whether there is too little of a key's id to look for it."""
    wanted = _key_id(typed)
    return wanted is not None and len(wanted) < _LEAST_OF_KEY


def _call(session: Session, person: Person, typed: str) -> Group:
    request_id = id_in(typed)
    if request_id is None:
        return Group("calls", "Calls")
    call = calls.find_call(session, scopes.scope_of(session, person), request_id)
    url = url_for("why.show", id=request_id)
    if call is None:
        return Group("calls", "Calls", [Hit(request_id, url, "help-circle", "No call that you may see, or not yet.")])
    said = f"{call.method or '–'} {call.path or '–'}"
    return Group("calls", "Calls", [Hit("Why this answer?", url, "help-circle", said, f"{call.status or 'no answer'}")])


def _keys(session: Session, person: Person, typed: str, *, most: int) -> Group:
    wanted = _key_id(typed)
    if wanted is None or len(wanted) < _LEAST_OF_KEY:
        return Group("keys", "Keys")
    now = utcnow()
    rows = lists.keys(session, person, begins=wanted).order_by(Key.id.desc()).limit(most + 1)
    found = list(session.scalars(rows))
    hits = [
        Hit(
            key.shown,
            url_for("keys.show", team=key.consumer.team.slug, consumer=key.consumer.slug, key=key.public_id),
            "key",
            f"{key.label or 'Key'} of {key.consumer.name}, {key.consumer.team.name}",
            key.state_at(now),
            is_code=True,
        )
        for key in found[:most]
    ]
    more = ("More keys", url_for("find.show", q=typed, kind="keys")) if len(found) > most and most == FEW else None
    return Group("keys", "Keys", hits, more)


def _key_id(typed: str) -> str | None:
    """As much of the id of a key as was typed; None for what is none."""
    found = _KEY.fullmatch(typed)
    return None if found is None else found[1] if found[1] is not None else found[2]


def _catalogue(session: Session, person: Person, typed: str) -> tuple[list[Card], tuple[str, str] | None]:
    seen = look(session, person, Wish(q=typed), size=FEW)
    more = ("All results in the catalogue", url_for("catalogue.index", q=typed)) if seen.pages > 1 else None
    return seen.cards, more


def _apis(session: Session, person: Person, typed: str, cards: Sequence[Card]) -> list[Hit]:
    """What is published by where the words stand in it, then own ones that the catalogue has not."""
    versions = [each for card in cards for each in (card.head, *card.others)][: 2 * FEW]
    hits = [_api(each.api, each.title) for each in versions]
    rows = lists.apis(person, q=typed, team="", state="").where(
        Api.live_release_id.is_(None) | Api.retired_at.is_not(None)
    )
    own = session.scalars(rows.order_by(func.lower(Api.name), Api.id).limit(FEW))
    return hits + [_api(api, api.name) for api in own]


def _api(api: Api, title: str) -> Hit:
    """Of one's own the page on which one looks after it, of others the docs."""
    team = api.team
    if guards.may(Permission.SEE_APIS, team):
        url = url_for("apis.show", team=team.slug, slug=api.slug, version=api.version)
    else:
        url = docs_address(api)
    return Hit(f"{title} {api.version}", url, "api", f"{team.name}, {api.slug}", api.state)


def _operations(cards: Sequence[Card]) -> list[Hit]:
    return [
        Hit(
            f"{each.method.upper()} {each.path}",
            docs_address(card.head.api, each.name),
            "route",
            f"{each.summary or each.name}, {card.head.title} {card.head.api.version}",
            "deprecated" if each.deprecated else "",
            is_code=True,
        )
        for card in cards
        for each in card.operations
    ][: 2 * FEW]


def _consumers(session: Session, person: Person, typed: str) -> Group:
    rows = lists.consumers(person, q=typed, team="").order_by(func.lower(Consumer.name), Consumer.id).limit(FEW + 1)
    found = list(session.scalars(rows))
    hits = [
        Hit(
            each.name,
            url_for("consumers.show", team=each.team.slug, consumer=each.slug),
            "apps",
            f"{each.team.name}, {each.slug}",
            "suspended" if each.suspended_at else "",
        )
        for each in found[:FEW]
    ]
    more = ("All results among consumers", url_for("consumers.index", q=typed)) if len(found) > FEW else None
    return Group("consumers", "Consumers", hits, more)


def _pages() -> list[tuple[Hit, str]]:
    """With the words by which each is found."""
    found = [(Hit(each.label, each.url, each.icon), "") for each in navigation.entries()]
    there = {hit.url for hit, _ in found}
    if url_for("approvals.index") in there:
        review = Hit("Access review", url_for("approvals.review"), "inbox", "Approvals")
        found.append((review, "approvals unused subscriptions"))
    for label, url, _ in settings.settings_tabs(""):
        if url not in there:
            found.append((Hit(label, url, "settings", "Settings"), "settings"))
    return found + list(_open(_PAGES))


def _actions() -> list[tuple[Hit, str]]:
    return list(_open(_ACTIONS))


def _open(places: Sequence[_Place]) -> Iterator[tuple[Hit, str]]:
    """Those that this person may open."""
    someone = guards.me()
    for place in places:
        is_for_few = guards.permission_of(current_app, place.endpoint) is Permission.ADMINISTER
        if is_for_few and not someone.acts_as_administrator:
            continue
        if place.endpoint not in _OF_PUBLISHERS or guards.teams_for(Permission.MANAGE_APIS):
            yield Hit(place.label, url_for(place.endpoint), place.icon), place.words


def _all(places: Sequence[tuple[Hit, str]]) -> list[Hit]:
    return [hit for hit, _ in places]


def _fitting(places: Sequence[tuple[Hit, str]], asked: Sequence[str]) -> list[Hit]:
    if not asked:
        return []
    return [
        hit
        for hit, words in places
        if all(any(its.startswith(word) for its in words_of(hit.label, words)) for word in asked)
    ][:FEW]
