"""What is different between two operations: what they ask for and what they answer."""

from collections.abc import Iterator
from typing import Any

from portal.openapi.comparer import Comparer, Remark
from portal.openapi.differences import Direction
from portal.openapi.references import Look, follow

Operation = dict[str, Any]
Key = tuple[str, str]


def remarks_on(before: Operation, after: Operation, comparer: Comparer) -> Iterator[Remark]:
    """`before` and `after` are whole operations (`references.operation_at`)."""
    yield from _parameters(before, after, comparer)
    yield from _body(before, after, comparer)
    yield from _responses(before, after, comparer)
    yield from _security(before, after)


def _parameters(before: Operation, after: Operation, comparer: Comparer) -> Iterator[Remark]:
    old, new = _by_place(before, comparer.look_before), _by_place(after, comparer.look_after)
    _pair_path_parameters(old, new)
    gone = {name.lower(): place for place, name in old if (place, name) not in new}
    for key, parameter in new.items():
        place, name = key
        root = f"the {place} parameter “{name}”"
        required = parameter.get("required") is True
        if key in old:
            yield from _parameter(old[key], parameter, comparer, root)
        elif name.lower() in gone:
            yield Remark(f"The parameter “{name}” moved from {gone.pop(name.lower())} to {place}.", True)
        else:
            yield Remark(f"T{root[1:]} is new{' and required' if required else ''}.", required)
    for place, name in old:
        if (place, name) not in new and gone.get(name.lower()) == place:
            yield Remark(f"The {place} parameter “{name}” is gone.", True)


def _parameter(old: Any, new: Any, comparer: Comparer, root: str) -> Iterator[Remark]:
    subject = root[:1].upper() + root[1:]
    if new.get("required") is True and old.get("required") is not True:
        yield Remark(f"{subject} is required.", True)
    elif old.get("required") is True and new.get("required") is not True:
        yield Remark(f"{subject} is optional.", False)
    if new.get("deprecated") is True and old.get("deprecated") is not True:
        yield Remark(f"{subject} is deprecated.", False)
    if _style(old) != _style(new):
        yield Remark(f"{subject} is written in another style.", True)
    yield from comparer.differences(_schema(old), _schema(new), direction="request", root=root)


def _body(before: Operation, after: Operation, comparer: Comparer) -> Iterator[Remark]:
    old, _ = follow(before.get("requestBody"), comparer.look_before)
    new, _ = follow(after.get("requestBody"), comparer.look_after)
    if not isinstance(old, dict) and not isinstance(new, dict):
        return
    if not isinstance(new, dict):
        yield Remark("It takes no body any more.", True)
    elif not isinstance(old, dict):
        required = new.get("required") is True
        yield Remark(f"It takes a body{', which is required' if required else ''}.", required)
    else:
        if new.get("required") is True and old.get("required") is not True:
            yield Remark("The request body is required.", True)
        elif old.get("required") is True and new.get("required") is not True:
            yield Remark("The request body is optional.", False)
        yield from _contents(old, new, comparer, "request", "the request body")


def _responses(before: Operation, after: Operation, comparer: Comparer) -> Iterator[Remark]:
    old, new = _map(before.get("responses")), _map(after.get("responses"))
    for status in old:
        if status not in new:
            yield Remark(f"The answer {status} is gone.", str(status).startswith("2"))
    for status in new:
        if status not in old:
            yield Remark(f"The answer {status} is new.", False)
            continue
        one, _ = follow(old[status], comparer.look_before)
        other, _ = follow(new[status], comparer.look_after)
        one, other = _map(one), _map(other)
        root = f"the answer {status}"
        yield from _contents(one, other, comparer, "response", root)
        kept = {str(name).lower() for name in _map(other.get("headers"))}
        for name in _map(one.get("headers")):
            if str(name).lower() not in kept:
                yield Remark(f"The header “{name}” in {root} is gone.", True)


def _contents(old: Any, new: Any, comparer: Comparer, direction: Direction, root: str) -> Iterator[Remark]:
    one, other = _by_media(old), _by_media(new)
    subject = root[:1].upper() + root[1:]
    for media in one:
        if media not in other:
            yield Remark(f"{subject} is no longer {media}.", True)
    for media in other:
        if media not in one:
            yield Remark(f"{subject} may also be {media}.", False)
        else:
            before, _ = follow(one[media], comparer.look_before)
            after, _ = follow(other[media], comparer.look_after)
            yield from comparer.differences(
                _map(before).get("schema", {}),
                _map(after).get("schema", {}),
                direction=direction,
                root=root,
            )


def _security(before: Operation, after: Operation) -> Iterator[Remark]:
    old, new = _alternatives(before), _alternatives(after)
    if old == new:
        return
    if frozenset() in old and frozenset() not in new:
        yield Remark(f"It needs {_words(new)}.", True)
    elif frozenset() not in old and frozenset() in new:
        yield Remark("It may be called without credentials.", False)
    else:
        # Whoever has what an old alternative asked for must find one that asks for no more.
        lost = {it for it in old if not any(other <= it for other in new)}
        yield Remark(f"It takes {_words(new)}, and took {_words(old)} before.", bool(lost))


def _alternatives(operation: Operation) -> set[frozenset[tuple[str, str]]]:
    """Each way to be let in, as what it asks for: (scheme, scope), the scheme alone with an empty scope."""
    said = operation.get("security")
    ways = {
        frozenset((str(scheme), str(scope)) for scheme, scopes in way.items() for scope in ("", *(scopes or ())))
        for way in (said if isinstance(said, list) else ())
        if isinstance(way, dict) and all(isinstance(scopes, list | None) for scopes in way.values())
    }
    return ways or {frozenset()}


def _words(ways: set[frozenset[tuple[str, str]]]) -> str:
    each = sorted(
        " and ".join(sorted(f"“{scheme}”" + (f" ({scope})" if scope else "") for scheme, scope in way))
        for way in ways
        if way
    )
    return " or ".join(each) or "no credentials"


def _by_place(operation: Operation, look: Look) -> dict[Key, dict[str, Any]]:
    found: dict[Key, dict[str, Any]] = {}
    entries = operation.get("parameters")
    for entry in entries if isinstance(entries, list) else ():
        parameter, _ = follow(entry, look)
        if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
            place, name = str(parameter.get("in")), parameter["name"]
            found[place, name.lower() if place == "header" else name] = parameter
    return found


def _pair_path_parameters(old: dict[Key, dict[str, Any]], new: dict[Key, dict[str, Any]]) -> None:
    """What a path parameter is called is nothing to a caller: those of other names are paired in their order."""
    gone = [key for key in old if key[0] == "path" and key not in new]
    come = [key for key in new if key[0] == "path" and key not in old]
    for before, after in zip(gone, come, strict=False):
        old[after] = old.pop(before)


def _by_media(holder: Any) -> dict[str, Any]:
    return {str(media).partition(";")[0].strip().lower(): value for media, value in _map(holder.get("content")).items()}


def _schema(parameter: dict[str, Any]) -> Any:
    if "schema" in parameter:
        return parameter["schema"]
    return next((_map(media).get("schema", {}) for media in _map(parameter.get("content")).values()), {})


def _style(parameter: dict[str, Any]) -> tuple[Any, Any, bool]:
    usual = "form" if parameter.get("in") in ("query", "cookie") else "simple"
    style = parameter.get("style", usual)
    return style, parameter.get("explode", style == "form"), "content" in parameter


def _map(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
