"""An OpenAPI document made sound: what the specification does not know is dropped, what it asks for is put in.

Everything is built anew, field by field, from what `grammar` allows, so that nothing of the source gets through
unseen; `x-` fields are kept as they are. Each reference leads into `components`: parts that are referred to elsewhere
move there, names that are none are changed, references that lead nowhere become what says nothing.
"""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from portal.openapi.fits import has_format
from portal.openapi.grammar import FIELDS, MISSING, NEEDED, SECTIONS, SINCE, STYLES
from portal.openapi.references import Look, follow, is_reference, looking, name_of, reference_of
from portal.openapi.repair_paths import path_item
from portal.openapi.repair_schemas import SchemaRepair

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IN_PATH = re.compile(r"[^{}]+")
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|XX)|default")
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+(?:\s*;.*)?")


class Repair:
    """One document on its way from `tree` to `components` and what refers to them."""

    def __init__(self, tree: dict[str, Any], version: str) -> None:
        self.look: Look = looking(tree)
        self.version = version
        self.components: dict[str, dict[str, Any]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._waiting: list[tuple[str, str, Any]] = []
        self._ids: set[str] = set()
        self._is_referred = False
        self.schemas = SchemaRepair(self)
        sections = tree.get("components")
        for kind, section in SECTIONS.items():
            parts = sections.get(section) if isinstance(sections, dict) else None
            for name, part in parts.items() if isinstance(parts, dict) else ():
                if not str(name).startswith("x-") and self.usable(kind, part):
                    word = str(name).replace("~", "~0").replace("/", "~1")
                    self._component(kind, f"/components/{section}/{word}", part)

    def finish(self) -> dict[str, Any]:
        """`components`, once everything that refers to them was made."""
        while self._waiting:
            kind, name, part = self._waiting.pop()
            self.components[SECTIONS[kind]][name] = self.of(kind, part)
        self.schemas.settle(self.components.get("schemas", {}))
        # What nothing was made of is referred to by nobody: `usable` says so beforehand.
        kept = {
            section: {name: part for name, part in parts.items() if part is not MISSING}
            for section, parts in self.components.items()
        }
        return {section: parts for section, parts in kept.items() if parts}

    def of(self, kind: str, value: Any) -> Any:
        """`value` as a thing of that kind, or MISSING."""
        if kind.startswith("list:"):
            items = [self.of(kind[5:], item) for item in value] if isinstance(value, list) else []
            return [item for item in items if item is not MISSING] or MISSING
        if kind.startswith("map:"):
            return self._map(kind[4:], value)
        if kind in {"text", "flag", "uri", "email", "any"}:
            return _plain(kind, value)
        if kind in SECTIONS and is_reference(value) and not (kind == "schema" and self.schemas.says_more(value)):
            return self.reference(kind, value)
        if kind == "schema":
            return self.schemas.of(value)
        value, _ = follow(value, self.look)
        if not isinstance(value, dict):
            return MISSING
        if kind == "callback":
            made = {str(key): self.path_item(item) for key, item in value.items() if not str(key).startswith("x-")}
            return made or MISSING
        return self._object(kind, value)

    def reference(self, kind: str, value: Any) -> Any:
        pointer = reference_of(value)
        name = self.component_of(kind, pointer) if pointer is not None else None
        if name is None:
            return {} if kind == "schema" else MISSING
        return {"$ref": f"#/components/{SECTIONS[kind]}/{name}"}

    def component_of(self, kind: str, pointer: str) -> str | None:
        """The name under which the part at `pointer` stands in the components now; None if there is no such part."""
        for spelling in (pointer, unquote(pointer)):
            if (kind, spelling) in self._names:
                return self._names[kind, spelling]
        try:
            part = self.look(pointer)
        except LookupError:
            return None
        return self._component(kind, pointer, part) if self.usable(kind, part) else None

    def usable(self, kind: str, part: Any) -> bool:
        """Whether a thing of that kind can be made of `part`."""
        value, _ = follow(part, self.look)
        if kind == "schema":
            # References in a circle are a schema that says nothing.
            return isinstance(value, dict | bool) and bool(value or not is_reference(part))
        if not isinstance(value, dict) or not self._arrives(part):
            return False
        if kind == "parameter":
            name, place = value.get("name"), str(value.get("in"))
            # What stands in a path stands there between braces.
            return isinstance(name, str) and place in STYLES and (place != "path" or bool(_IN_PATH.fullmatch(name)))
        if kind == "requestBody":
            return self._map("mediaType", value.get("content"), only_look=True) is not MISSING
        if kind == "link":
            return any(isinstance(value.get(word), str) for word in ("operationId", "operationRef"))
        return kind != "callback" or any(not str(key).startswith("x-") for key in value)

    def _arrives(self, part: Any) -> bool:
        """False for references that lead nowhere in the end, whatever stands beside them."""
        seen = set[str]()
        while is_reference(part):
            pointer = reference_of(part)
            if pointer is None or pointer in seen:
                return False
            seen.add(pointer)
            try:
                part = self.look(pointer)
            except LookupError:
                return False
        return True

    def path_item(self, value: Any) -> dict[str, Any]:
        """The path item of a callback or a webhook."""
        whole, _ = follow(value, self.look)
        inside = whole.values() if isinstance(whole, dict) else ()
        is_referred = is_reference(value) or any(is_reference(operation) for operation in inside)
        if not is_referred:
            return path_item(self, None, value, deprecated=False)
        if self._is_referred:
            return {}  # what is referred to may call back what refers to it, and so on
        self._is_referred = True
        made = path_item(self, None, value, deprecated=False)
        self._is_referred = False
        return made

    def operation_id(self, said: str) -> str:
        word, number = said, 2
        while word in self._ids:
            word, number = f"{said}_{number}", number + 1
        self._ids.add(word)
        return word

    def responses(self, value: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for status, response in value.items() if isinstance(value, dict) else ():
            word = str(status).upper() if str(status).lower() != "default" else "default"
            answer: Any = self.of("response", response) if _STATUS.fullmatch(word) else MISSING
            if answer is not MISSING:
                made[word] = _described(word, answer)
        return made or {"default": {"description": "An answer."}}

    def _object(self, kind: str, value: dict[str, Any]) -> Any:
        made = {}
        for field, below in FIELDS[kind].items():
            since = SINCE.get((kind, field))
            if field in value and (since is None or self.version >= since):
                part = self.of(below, value[field])
                if part is not MISSING:
                    made[field] = part
        if any(field not in made for field in NEEDED.get(kind, ())):
            return MISSING
        made |= {str(key): finite(part) for key, part in value.items() if str(key).startswith("x-")}
        if kind in {"parameter", "header"}:
            _settle_parameter(made, str(made.get("in", "header")))
        elif kind == "response":
            made.setdefault("description", "")
        elif kind == "example":
            for other in ("serializedValue", "dataValue", "externalValue") if "value" in made else ("externalValue",):
                made.pop(other, None) if "value" in made or "serializedValue" in made else None
        elif kind == "link" and ("operationId" in made) == ("operationRef" in made):
            if "operationId" not in made:
                return MISSING
            del made["operationRef"]
        elif kind == "encoding" and made.get("style", "form") not in STYLES["query"]:
            del made["style"]
        if "example" in made and "examples" in made:
            del made["example"]
        return made

    def _map(self, kind: str, value: Any, *, only_look: bool = False) -> Any:
        made: dict[str, Any] = {}
        for name, below in value.items() if isinstance(value, dict) else ():
            if kind == "mediaType" and not _MEDIA.fullmatch(str(name)):
                continue
            part = {} if only_look else self.of(kind, below)
            if part is MISSING and kind == "mediaType":
                part = {}
            if part is not MISSING:
                made[str(name)] = part
        return made or MISSING

    def _component(self, kind: str, pointer: str, part: Any) -> str:
        section = self.components.setdefault(SECTIONS[kind], {})
        said = name_of(pointer)
        word = base = said if _NAME.fullmatch(said) else re.sub(r"[^A-Za-z0-9._-]+", "_", said).strip("_") or kind
        number = 2
        while word in section:
            word, number = f"{base}_{number}", number + 1
        self._names[kind, pointer] = word
        section[word] = MISSING
        self._waiting.append((kind, word, part))
        return word


def _plain(kind: str, value: Any) -> Any:
    if kind == "any":
        return finite(value)
    if kind == "flag":
        return value if isinstance(value, bool) else MISSING
    if isinstance(value, bool | int | float) and kind == "text":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        return MISSING
    if kind == "uri":
        return value if value and has_format(value, "uri-reference") and has_format(value, "uri") else MISSING
    return value if kind != "email" or has_format(value, "email") else MISSING


def finite(value: Any) -> Any:
    """`value` with what JSON cannot say, such as `.inf` of YAML, as text."""
    if isinstance(value, dict):
        return {str(key): finite(below) for key, below in value.items()}
    if isinstance(value, list):
        return [finite(below) for below in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def _settle_parameter(made: dict[str, Any], place: str) -> None:
    if place == "path":
        made["required"] = True
    if place != "query":
        made.pop("allowEmptyValue", None)
        made.pop("allowReserved", None)
    if "schema" in made:
        made.pop("content", None)
    elif "content" in made:
        first = next(iter(made["content"]))
        made["content"] = {first: made["content"][first]}
        for field in ("style", "explode", "allowReserved", "example", "examples"):
            made.pop(field, None)
    else:
        made["schema"] = {}
    if made.get("style", STYLES[place][0]) not in STYLES[place]:
        del made["style"]


def _described(status: str, response: dict[str, Any]) -> dict[str, Any]:
    if response.get("description") == "" and status.isdigit() and int(status) in set(HTTPStatus):
        response["description"] = HTTPStatus(int(status)).phrase
    return response
