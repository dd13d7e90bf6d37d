"""Schemas made sound, as 3.0 writes them or as JSON Schema does: each keyword with a value that it may have."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portal.openapi.fits import fits, is_pattern
from portal.openapi.grammar import MISSING, SCHEMA_30, SCHEMA_31
from portal.openapi.references import follow, is_reference, looking, reference_of
from portal.openapi.shapes import TYPES, choices_of

if TYPE_CHECKING:
    from portal.openapi.repair import Repair

_BASES = ("allOf", "anyOf", "oneOf", "not", "items")


class SchemaRepair:
    def __init__(self, repair: "Repair") -> None:
        self._repair = repair
        self._is_30 = repair.version < "3.1"
        self._keywords = SCHEMA_30 if self._is_30 else SCHEMA_31
        self._made: list[dict[str, Any]] = []

    def says_more(self, value: dict[str, Any]) -> bool:
        """Whether something stands beside the `$ref` that is to be kept."""
        return any(key in self._keywords or str(key).startswith("x-") for key in value)

    def of(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value if not self._is_30 else ({} if value else {"not": {}})
        if not isinstance(value, dict):
            return {}
        made: dict[str, Any] = {}
        for key, below in value.items():
            kind = self._keywords.get(key)
            if kind is not None:
                part = self._keyword(key, kind, below)
                if part is not MISSING:
                    made[key] = part
            elif str(key).startswith("x-"):
                made[str(key)] = below
        (self._as_30 if self._is_30 else self._as_31)(made, value)
        if is_reference(value):
            reference = self._repair.reference("schema", value)
            if self._is_30:
                made["allOf"] = [reference, *made.get("allOf", ())]
            else:
                made |= reference
        self._made.append(made)
        return made

    def settle(self, schemas: dict[str, Any]) -> None:
        """What can only be judged once everything stands: circles of bases, required names that no base declares,
        defaults that their own schema does not allow."""
        look = looking({"components": {"schemas": schemas}})
        _part_from_choices(schemas)
        _untie(self._made, schemas)
        for made in self._made:
            if "allOf" in made and "required" in made:
                known = set(made.get("properties", ()))
                for base in made["allOf"]:
                    known |= _declared(base, look, set())
                missing = [name for name in made["required"] if name not in known]
                if missing:
                    made.setdefault("properties", {}).update({name: {} for name in missing})
        for made in self._made:
            if "default" in made and not fits(made["default"], made, look):
                del made["default"]

    def _keyword(self, key: str, kind: str, value: Any) -> Any:
        if key == "additionalProperties" and isinstance(value, bool):
            return value
        if kind == "schema" and key == "items" and isinstance(value, list):
            return {} if self._is_30 else MISSING
        if kind in _READERS:
            return _READERS[kind](value)
        if kind in {"bound", "type"}:
            return value
        if kind == "discriminator":
            return self._discriminator(value)
        if kind == "map:names":
            return {name: _names(below) for name, below in value.items()} if _is_names_map(value) else MISSING
        if key == "examples" and not isinstance(value, list):
            return MISSING
        if key == "patternProperties" and isinstance(value, dict):
            value = {pattern: below for pattern, below in value.items() if is_pattern(str(pattern))}
        if kind == "schema" and not isinstance(value, dict | bool):
            return MISSING
        part = self._repair.of(kind, value)
        return part if isinstance(part, dict | list | str | bool | int | float | None) else MISSING

    def _as_30(self, made: dict[str, Any], value: dict[str, Any]) -> None:
        said = value.get("type")
        words = [word for word in (said if isinstance(said, list) else [said]) if word in TYPES]
        made.pop("type", None)
        if "null" in words:
            made["nullable"] = True
        words = [word for word in words if word != "null"]
        if len(words) == 1:
            made["type"] = words[0]
        elif words:
            made.setdefault("anyOf", [{"type": word} for word in words])
        elif said == "file":
            made |= {"type": "string", "format": "binary"}
        if "const" in value and "enum" not in made:
            made["enum"] = [self._repair.of("any", value["const"])]
        if "enum" in made and None in made["enum"] and "type" in made:
            made["nullable"] = True
        written = value.get("examples")
        if "example" not in made and isinstance(written, list) and written:
            made["example"] = self._repair.of("any", written[0])
        if made.get("type") == "array":
            made.setdefault("items", {})
        for bound, word in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            other = made.pop(word, None)
            if isinstance(other, bool):
                made[word] = other
            elif isinstance(other, int | float):
                made |= {bound: other, word: True}

    def _as_31(self, made: dict[str, Any], value: dict[str, Any]) -> None:
        said = value.get("type")
        words = [word for word in (said if isinstance(said, list) else [said]) if word in TYPES]
        made.pop("type", None)
        if said == "file":
            words = ["string"]
        if words and value.get("nullable") is True:
            words.append("null")
        words = list(dict.fromkeys(words))
        if words:
            made["type"] = words[0] if len(words) == 1 else words
        if isinstance(value.get("items"), list) and "prefixItems" not in made:
            made["prefixItems"] = [self.of(item) for item in value["items"]] or [{}]
        for bound, word in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            other = made.get(word)
            if isinstance(other, bool):
                del made[word]
                if other and bound in made:
                    made[word] = made.pop(bound)
            elif word in made and _number(other) is MISSING:
                del made[word]

    def _discriminator(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return MISSING
        made = self._repair.of("discriminator", value)
        if not isinstance(made, dict):
            return MISSING
        mapping = {}
        for word, target in made.get("mapping", {}).items():
            pointer = reference_of({"$ref": target}) if target.startswith("#") else f"/components/schemas/{target}"
            name = self._repair.component_of("schema", pointer) if pointer else None
            if name is not None:
                mapping[word] = f"#/components/schemas/{name}"
        made.pop("mapping", None)
        return {**made, "mapping": mapping} if mapping else made


def _part_from_choices(schemas: dict[str, Any]) -> None:
    """A base often lists what is built upon it (`Pet` is one of `Cat` and `Dog`, each of which is all of `Pet`). Taken
    at its word that has no end, so those build upon a copy of the base that leaves the choice out."""
    for name, schema in list(schemas.items()):
        bases = schema.get("allOf", []) if isinstance(schema, dict) else []
        for place, base in enumerate(bases):
            above = _component_name(base)
            whole = schemas.get(above) if above is not None else None
            if not isinstance(whole, dict) or name not in map(_component_name, choices_of(whole)[1]):
                continue
            alone = f"{above}_alone"
            schemas.setdefault(
                alone, {key: part for key, part in whole.items() if key not in {"oneOf", "anyOf", "discriminator"}}
            )
            bases[place] = {**base, "$ref": f"#/components/schemas/{alone}"}


def _untie(made: list[dict[str, Any]], schemas: dict[str, Any]) -> None:
    """A schema that is all of itself in another way is satisfied by nothing but endless work. The reference that closes
    such a circle becomes one that says nothing."""
    done: set[str] = set()

    def walk(schema: Any, within: tuple[str, ...]) -> bool:
        """False if the schema leads back to one that it stands in."""
        if not isinstance(schema, dict):
            return True
        name = _component_name(schema)
        if name in within:
            return False
        if name is not None and name not in done:
            walk(schemas.get(name), (*within, name))
            done.add(name)
        for word in _BASES:
            below = schema.get(word)
            if isinstance(below, list):
                schema[word] = [part if walk(part, within) else {} for part in below]
            elif isinstance(below, dict) and not walk(below, within):
                schema[word] = {}
        return True

    for schema in made:
        for base in schema.get("allOf", ()):
            walk(base, ())


def _component_name(schema: Any) -> str | None:
    pointer = reference_of(schema)
    return None if pointer is None else pointer.rsplit("/", 1)[-1]


def _declared(schema: Any, look: Callable[[str], Any], seen: set[str]) -> set[str]:
    value, name = follow(schema, look)
    if not isinstance(value, dict) or name in seen:
        return set()
    seen |= {name} if name else set()
    known = set(value.get("properties", ()))
    for word in ("allOf", "anyOf", "oneOf"):
        for part in value.get(word, ()):
            known |= _declared(part, look, seen)
    return known


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else MISSING


def _count(value: Any) -> Any:
    return int(value) if _number(value) is not MISSING and value >= 0 and value == int(value) else MISSING


def _positive(value: Any) -> Any:
    return value if _number(value) is not MISSING and value > 0 else MISSING


def _pattern(value: Any) -> Any:
    return value if isinstance(value, str) and is_pattern(value) else MISSING


def _names(value: Any) -> Any:
    names = list(dict.fromkeys(name for name in value if isinstance(name, str))) if isinstance(value, list) else []
    return names or MISSING


def _values(value: Any) -> Any:
    if not isinstance(value, list):
        return MISSING
    # 1 and 1.0 are one value to JSON, 1 and true are not.
    once = {json.dumps(it, sort_keys=True, default=str).removesuffix(".0"): it for it in reversed(value)}
    return list(reversed(once.values())) or MISSING


def _is_names_map(value: Any) -> bool:
    return isinstance(value, dict) and all(_names(below) is not MISSING for below in value.values())


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "count": _count,
    "positive": _positive,
    "pattern": _pattern,
    "names": _names,
    "values": _values,
}
