"""What would have to be done, so that an installation is as its files say. Pure.

    plan(current, wanted, prune=False) -> [Step, …]

Steps stand in the order in which they can be carried out: what frees a name or a path before what takes it, what is
referred to before what refers.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.registry.document import Document
from portal.registry.installation.files import name_of
from portal.registry.installation.settings import SETTINGS
from portal.registry.installation.values import (
    ApiEntry,
    CategoryEntry,
    ConsumerEntry,
    Credential,
    Identity,
    Installation,
    KeyEntry,
    PlanEntry,
    TeamEntry,
    Use,
    generation,
    keys_of,
    uses_of,
)

Thing = TeamEntry | CategoryEntry | PlanEntry | ApiEntry | ConsumerEntry | Use | Credential

_NAMES = {"team", "slug", "version"}
"""What a thing is called is no field of it that could change."""
_API_BOOKKEEPING = _NAMES | {"document", "live_document", "published", "note"}


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Field:
    """Texts as they are, anything else as JSON writes it; None for what is not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    action: Action
    identity: Identity
    before: Thing | None
    after: Thing | None
    fields: tuple[Field, ...] = ()

    @property
    def publishes(self) -> bool:
        """Whether callers get another document."""
        return isinstance(self.after, ApiEntry) and self.after.live is not None and self.after.live != self._was_live

    @property
    def unpublishes(self) -> bool:
        return isinstance(self.after, ApiEntry) and self.after.live is None and self._was_live is not None

    @property
    def _was_live(self) -> Document | None:
        return self.before.live if isinstance(self.before, ApiEntry) else None

    @property
    def label(self) -> str:
        return name_of(self.identity)


def plan(current: Installation, wanted: Installation, *, prune: bool) -> list[Step]:
    """Nothing for what is equal. What `wanted` does not speak of is never touched.

    `prune` deletes what `wanted` leaves out of the teams that it lists, of the subscriptions and keys of consumers that
    it lists with such, and of the categories if it lists any. `current` is the whole installation, with keys.
    """
    there = {each.identity: each for each in _everything(current)}
    asked = {each.identity: each for each in _everything(wanted)}
    steps = [step for thing in asked.values() if (step := _step(there.get(thing.identity), thing))]
    gone = left_out(current, wanted)
    if prune:
        steps += [Step(Action.DELETE, each.identity, each, None) for each in gone]
    order = _generations(wanted)
    return sorted(steps, key=lambda step: (_place(step), order.get(step.identity, 0), step.identity))


def left_out(current: Installation, wanted: Installation) -> list[Thing]:
    """What `prune` deletes. What goes with a consumer or an API that is left out is not said again."""
    named = {team.slug for team in wanted.teams}
    asked = {each.identity for each in _everything(wanted)}
    listed = {each.identity: each for each in wanted.consumers}
    owned: tuple[PlanEntry | ApiEntry | ConsumerEntry, ...] = (*current.plans, *current.apis, *current.consumers)
    gone: list[Thing] = [each for each in owned if each.team in named and each.identity not in asked]
    if wanted.categories:
        gone += [each for each in current.categories if each.identity not in asked]
    apis = {"/".join(each.identity[1:]) for each in gone if isinstance(each, ApiEntry)}
    for consumer in current.consumers:
        entry = listed.get(consumer.identity)
        if entry is not None and entry.subscriptions is not None:
            gone += [use for use in uses_of(consumer) if use.identity not in asked and use.entry.api not in apis]
        if entry is not None and entry.keys is not None:
            gone += [key for key in keys_of(consumer) if key.identity not in asked and key.entry.revoked_at is None]
    return gone


def as_drafts(current: Installation, wanted: Installation) -> Installation:
    """The same, but what callers have of each API stays as it is."""
    there = {each.identity: each for each in current.apis}
    return wanted.model_copy(update={"apis": tuple(_draft(there.get(each.identity), each) for each in wanted.apis)})


def without_buried(installation: Installation, *, now: datetime, tombstone: timedelta) -> Installation:
    """Without keys that are dead for so long that the gateway forgets them."""
    long_ago = now - tombstone

    def alive(key: Any) -> bool:
        return not any(end is not None and end < long_ago for end in (key.expires_at, key.revoked_at))

    consumers = tuple(
        each if each.keys is None else each.model_copy(update={"keys": _among_themselves(filter(alive, each.keys))})
        for each in installation.consumers
    )
    return installation.model_copy(update={"consumers": consumers})


def _among_themselves(some: Iterable[KeyEntry]) -> tuple[KeyEntry, ...]:
    """Without what they say of keys that are not among them."""
    found = tuple(some)
    ids, followed = {key.id for key in found}, {key.follows for key in found if key.revoked_at is None}
    return tuple(
        key.model_copy(
            update={
                "follows": key.follows if key.follows in ids else None,
                "unrotated_expires_at": key.unrotated_expires_at if key.id in followed else None,
            }
        )
        for key in found
    )


def references(
    current: Installation, wanted: Installation, steps: Iterable[Step]
) -> Iterator[tuple[Identity, str, str]]:
    """What `wanted` refers to and nobody will have: the thing, its field and a sentence."""
    gone = {step.identity for step in steps if step.action is Action.DELETE}
    there = {each.identity for each in (*_everything(current), *_everything(wanted))} - gone
    for thing in _everything(wanted):
        for identity, field in _refers_to(thing):
            if identity in gone:
                yield thing.identity, field, f"The {name_of(identity)} is in no file, and --prune would delete it."
            elif identity not in there:
                yield (
                    thing.identity,
                    field,
                    f"There is no {name_of(identity)}. Correct the name, or add it to the files.",
                )


def shut_out(current: Installation, wanted: Installation, steps: Iterable[Step]) -> Iterator[tuple[Identity, str, str]]:
    """New subscriptions to APIs that take none, now or afterwards: the subscription, its field and a sentence.

    An API that is made together with them is the one that they were agreed for, elsewhere.
    """
    before = {each.identity: each for each in current.apis}
    after = before | {each.identity: each for each in wanted.apis}
    for step in steps:
        if step.action is not Action.CREATE or not isinstance(step.after, Use):
            continue
        identity: Identity = ("api", *step.after.entry.api.split("/"))
        why = _shut(before.get(identity)) and _shut(after.get(identity))
        if why:
            yield step.identity, "api", f"The {name_of(identity)} {why}"


def _shut(api: ApiEntry | None) -> str:
    if api is None:
        return ""
    if api.setting("retired") is not None:
        return "is retired: every call is answered with 410. Take this subscription out."
    if api.setting("closed"):
        return "takes no new subscriptions. Take this one out, or `closed` out of the API."
    return ""


def _refers_to(thing: Thing) -> Iterator[tuple[Identity, str]]:
    if isinstance(thing, PlanEntry | ApiEntry | ConsumerEntry):
        yield ("team", thing.team), "team"
    if isinstance(thing, PlanEntry):
        for slug in thing.chosen:
            yield ("team", slug), "chosen"
        for limited in thing.operations:
            yield ("api", *limited.api.split("/")), "operations"
    if isinstance(thing, ApiEntry):
        for slug in thing.plans or ():
            yield ("plan", thing.team, slug), "plans"
        if thing.default_plan is not None:
            yield ("plan", thing.team, thing.default_plan), "default_plan"
        if thing.live is not None and thing.live.authentication.public is not None:
            which = "document" if thing.live == thing.document else "live_document"
            yield ("plan", thing.team, thing.live.authentication.public.plan), f"{which}.authentication.public.plan"
        for slug in thing.setting("viewers"):
            yield ("team", slug), "viewers"
        if (category := thing.setting("category")) is not None:
            yield ("category", category), "category"
        deprecated = thing.setting("deprecated")
        if deprecated is not None and deprecated.successor is not None:
            yield ("api", *deprecated.successor.split("/")), "deprecated.successor"
    if isinstance(thing, Use):
        yield ("api", *thing.entry.api.split("/")), "api"
        yield ("plan", thing.entry.api.partition("/")[0], thing.entry.plan), "plan"
    if isinstance(thing, Credential):
        for api in thing.entry.apis or ():
            yield ("api", *api.split("/")), "apis"
        for operation in thing.entry.operations:
            yield ("api", *operation.api.split("/")), "operations"
        if thing.entry.follows is not None:
            yield ("key", thing.team, thing.consumer, thing.entry.follows), "follows"


def _everything(installation: Installation) -> Iterator[Thing]:
    yield from installation.things()
    for consumer in installation.consumers:
        yield from uses_of(consumer)
        yield from keys_of(consumer)


def _step(before: Thing | None, after: Thing) -> Step | None:
    if before is None:
        return Step(Action.CREATE, after.identity, None, after, tuple(_fields({}, _flat(after))))
    after = _silent_where(before, after)
    fields = tuple(_fields(_flat(before), _flat(after)))
    step = Step(Action.CHANGE, after.identity, before, after, fields)
    return step if fields or step.publishes else None


def _silent_where(before: Thing, after: Thing) -> Thing:
    """What `after` says nothing about is as it is."""
    if isinstance(after, ApiEntry) and isinstance(before, ApiEntry) and after.plans is None:
        return after.model_copy(update={"plans": before.plans, "default_plan": before.default_plan})
    if isinstance(after, ConsumerEntry) and isinstance(before, ConsumerEntry) and after.id is None:
        return after.model_copy(update={"id": before.id})
    if isinstance(after, Credential) and isinstance(before, Credential) and after.entry.revoked_at is not None:
        # When it was revoked first is when it was revoked.
        revoked_at = before.entry.revoked_at or after.entry.revoked_at
        after = Credential(after.team, after.consumer, after.entry.model_copy(update={"revoked_at": revoked_at}))
    if isinstance(after, Credential) and isinstance(before, Credential):
        stays = {
            name: getattr(before.entry, name)
            for name in ("follows", "unrotated_expires_at")
            if getattr(after.entry, name) is None
        }
        return Credential(after.team, after.consumer, after.entry.model_copy(update=stays))
    return after


def _draft(before: ApiEntry | None, after: ApiEntry) -> ApiEntry:
    live = before.live if before is not None else None
    as_it_is: dict[str, Any] = {
        "published": live is not None,
        "live_document": live if live != after.document else None,
    }
    if live is None:
        as_it_is |= {each.name: each.default for each in SETTINGS if each.only_live}
    return after.model_copy(update=as_it_is)


def _flat(thing: Thing) -> dict[str, Any]:
    """Field -> value, in order. Names of fields inside documents are dotted."""
    if isinstance(thing, Credential):
        # Enough to see that it is another one; a plan of CI is read by many.
        return thing.entry.model_dump(mode="json", exclude={"id"}) | {"sha256": f"{thing.entry.sha256[:8]}…"}
    if isinstance(thing, Use):
        return thing.entry.model_dump(mode="json", exclude={"api"})
    if isinstance(thing, ApiEntry):
        found = dict(_paths("", thing.model_dump(mode="json", exclude=_API_BOOKKEEPING)))
        found |= _paths("document", thing.document.model_dump(mode="json"))
        found["callers have"] = _live_word(thing)
        if thing.live is not None and thing.live != thing.document:
            found |= _paths("live_document", thing.live.model_dump(mode="json"))
        return found
    return thing.model_dump(mode="json", exclude=_NAMES | {"subscriptions", "keys"})


def _live_word(thing: ApiEntry) -> str:
    if thing.live is None:
        return "nothing"
    return "the document" if thing.live == thing.document else "the live document"


def _paths(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _paths(f"{path}.{name}" if path else name, below)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, below in enumerate(value):
            yield from _paths(f"{path}[{number}]", below)
    else:
        yield path, value


def _fields(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Field]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old != new and not (not before and new in ("", [], {})):
            yield Field(name, _said(old), _said(new))


def _said(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


_ORDER: tuple[Callable[[Step], bool], ...] = (
    lambda step: step.action is Action.DELETE and step.identity[0] == "subscription",
    lambda step: step.action is Action.DELETE and step.identity[0] == "key",
    lambda step: step.action is Action.DELETE and step.identity[0] == "consumer",
    lambda step: step.action is Action.DELETE and step.identity[0] == "api",
    # Before others may take its name.
    lambda step: step.action is Action.DELETE and step.identity[0] == "category",
    lambda step: step.identity[0] == "category",
    lambda step: step.identity[0] == "team",
    lambda step: step.action is not Action.DELETE and step.identity[0] == "plan",
    lambda step: step.identity[0] == "api" and step.unpublishes,
    lambda step: step.identity[0] == "api",
    lambda step: step.identity[0] == "consumer",
    lambda step: step.identity[0] == "subscription",
    lambda step: step.identity[0] == "key",
    # Plans go last: nothing refers to them any more.
    lambda step: True,
)


def _place(step: Step) -> int:
    return next(number for number, fits in enumerate(_ORDER) if fits(step))


def _generations(installation: Installation) -> dict[Identity, int]:
    """Of keys that came after others: those are made first, so that their numbers tell the order in which they came."""
    found: dict[Identity, int] = {}
    for consumer in installation.consumers:
        before = {key.id: key.follows for key in consumer.keys or ()}
        if any(before.values()):
            found |= {key.identity: generation(key.entry.id, before) for key in keys_of(consumer)}
    return found
