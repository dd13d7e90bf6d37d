"""Steps as people read them in a terminal or in the log of CI. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff

from portal.registry.installation.steps import Action, Field, Step, Thing

_SIGNS = {Action.CREATE: "+", Action.CHANGE: "~", Action.DELETE: "-"}
_DELETING = {"subscription": "end", "key": "revoke"}


def shown(steps: Sequence[Step]) -> str:
    """Each step with its fields, then how many there are of each kind."""
    if not steps:
        return "Nothing to change."
    return "\n".join([*(line for step in steps for line in _step(step)), "", _count(steps)])


def about_left_out(things: Sequence[Thing]) -> str:
    """What is in no file and stays, for want of `--prune`."""
    if not things:
        return ""
    several = len(things) > 1
    return f"{len(things)} {'things are' if several else 'thing is'} in no file and would go with --prune."


def _step(step: Step) -> Iterator[str]:
    verb = _DELETING.get(step.identity[0], "delete") if step.action is Action.DELETE else step.action.value
    more = ", and publish it" if step.publishes else ", and take it away from callers" if step.unpublishes else ""
    yield f"{_SIGNS[step.action]} {verb} {step.label}{more}"
    for field in step.fields:
        yield from _field(field, step.action)


def _field(field: Field, action: Action) -> Iterator[str]:
    before, after = field.before, field.after
    if "\n" in (before or "") or "\n" in (after or ""):
        yield f"    {field.name}:"
        for line in _difference(before or "", after or ""):
            yield f"        {_visible(line)}"
    elif action is Action.CREATE:
        yield f"    {field.name}: {_value(after)}"
    else:
        yield f"    {field.name}: {_value(before)} → {_value(after)}"


def _difference(before: str, after: str) -> list[str]:
    """A unified diff without its head."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    if not before:
        return [line for line in lines if not line.startswith("@@")]
    return lines or ["(only the ends of lines differ)"]


def _value(value: str | None) -> str:
    if value is None:
        return "nothing"
    return _visible(value) if value.strip() == value != "" else json.dumps(value, ensure_ascii=False)


def _visible(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def _count(steps: Sequence[Step]) -> str:
    counts = Counter(step.action for step in steps)
    *most, last = (f"{counts[action]:,} to {action.value}" for action in Action if counts[action])
    return f"{', '.join(most)} and {last}." if most else f"{last}."
