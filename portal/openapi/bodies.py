"""Samples as the text that travels: JSON, XML, forms; and the values of parameters as addresses and headers carry
them (OpenAPI "Style Values")."""

import json
import re
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from portal.openapi.references import Look, follow
from portal.openapi.shapes import flat, properties_of

_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*(?::[A-Za-z_][A-Za-z0-9._-]*)?")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Pairs = list[tuple[str, str]]


def is_json(media: str) -> bool:
    word = media.partition(";")[0].strip().lower()
    return word.endswith(("/json", "+json"))


def is_xml(media: str) -> bool:
    word = media.partition(";")[0].strip().lower()
    return word.endswith(("/xml", "+xml"))


def is_form(media: str) -> bool:
    return media.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def is_multipart(media: str) -> bool:
    return media.strip().lower().startswith("multipart/")


def body_text(media: str, value: Any, schema: Any, look: Look) -> str:
    """`value` as a body of that media type. A text that the document gives as an example stays as it is."""
    if is_json(media):
        return as_json(value)
    if isinstance(value, str):
        return value
    if is_xml(media):
        return as_xml(value, schema, look)
    if is_form(media):
        return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in form_pairs(value))
    return as_json(value)


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def form_pairs(value: Any) -> Pairs:
    """The fields of a form, each once for each of its values; what is nested travels as JSON."""
    if not isinstance(value, dict):
        return []
    return [
        (str(name), _word(one)) for name, many in value.items() for one in (many if isinstance(many, list) else [many])
    ]


def query_pairs(parameter: dict[str, Any], value: Any) -> Pairs:
    """A query or cookie parameter by its `style` and `explode`."""
    name = str(parameter.get("name", ""))
    style = str(parameter.get("style", "form"))
    explode = parameter.get("explode", style in {"form", "deepObject"}) is True
    if "content" in parameter and "schema" not in parameter:
        return [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
    if isinstance(value, list):
        if explode:
            return [(name, _word(one)) for one in value]
        return [(name, {"spaceDelimited": " ", "pipeDelimited": "|"}.get(style, ",").join(map(_word, value)))]
    if isinstance(value, dict):
        if style == "deepObject":
            return [(f"{name}[{key}]", _word(one)) for key, one in value.items()]
        if explode:
            return [(str(key), _word(one)) for key, one in value.items()]
        return [(name, ",".join(f"{key},{_word(one)}" for key, one in value.items()))]
    return [(name, _word(value))]


def simple(parameter: dict[str, Any], value: Any) -> str:
    """A path or header parameter, not yet encoded."""
    if isinstance(value, list):
        return ",".join(map(_word, value))
    if isinstance(value, dict):
        between = "=" if parameter.get("explode") is True else ","
        return ",".join(f"{key}{between}{_word(one)}" for key, one in value.items())
    return _word(value)


def in_path(parameter: dict[str, Any], value: Any) -> str:
    """A path parameter as it stands in the address, encoded; `label` and `matrix` with their signs."""
    text = quote(simple(parameter, value), safe=",=" if isinstance(value, list | dict) else "")
    name = quote(str(parameter.get("name", "")), safe="")
    return {"label": f".{text}", "matrix": f";{name}={text}"}.get(str(parameter.get("style")), text)


def as_xml(value: Any, schema: Any, look: Look) -> str:
    """`value` as XML, with the names, attributes and wrappers that `xml` objects in the schema ask for."""
    shape, name = flat(schema, look)
    root = _xml(shape).get("name") or name.rsplit("/", 1)[-1] or "root"
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(_element(str(root), value, shape, look)) + "\n"


def _element(name: str, value: Any, shape: dict[str, Any], look: Look) -> list[str]:
    said = _xml(shape)
    name = _tag(said, name)
    attributes = ""
    if isinstance(said.get("namespace"), str):
        prefix = said.get("prefix")
        attributes += f" xmlns{f':{prefix}' if isinstance(prefix, str) else ''}={quoteattr(_legal(said['namespace']))}"
    if isinstance(value, dict):
        inside: list[str] = []
        for key, below in value.items():
            part, _ = flat(properties_of(shape).get(key, {}), look)
            if _xml(part).get("attribute") is True:
                attributes += f" {_tag(_xml(part), _xml(part).get('name') or key)}={quoteattr(_legal(_word(below)))}"
            elif isinstance(below, list):
                inside += _elements(str(key), below, part, look)
            else:
                inside += _element(str(_xml(part).get("name") or key), below, part, look)
        return [f"<{name}{attributes}>", *(f"  {line}" for line in inside), f"</{name}>"]
    if isinstance(value, list):
        return [f"<{name}{attributes}>", *(f"  {line}" for line in _items(name, value, shape, look)), f"</{name}>"]
    return [f"<{name}{attributes}>{escape(_legal(_word(value)))}</{name}>"]


def _elements(name: str, values: list[Any], shape: dict[str, Any], look: Look) -> list[str]:
    said = _xml(shape)
    lines = _items(name, values, shape, look)
    if said.get("wrapped") is not True:
        return lines
    wrapper = _tag(said, str(said.get("name") or name))
    return [f"<{wrapper}>", *(f"  {line}" for line in lines), f"</{wrapper}>"]


def _items(name: str, values: list[Any], shape: dict[str, Any], look: Look) -> list[str]:
    items, _ = follow(shape.get("items", {}), look)
    part, _ = flat(items, look)
    each = str(_xml(part).get("name") or name)
    return [line for value in values for line in _element(each, value, part, look)]


def _xml(shape: dict[str, Any]) -> dict[str, Any]:
    said = shape.get("xml")
    return said if isinstance(said, dict) else {}


def _tag(said: dict[str, Any], name: Any) -> str:
    name = f"{said['prefix']}:{name}" if isinstance(said.get("prefix"), str) and ":" not in str(name) else str(name)
    return name if _XML_NAME.fullmatch(name) else re.sub(r"[^A-Za-z0-9._-]", "_", f"_{name}")


def _legal(text: str) -> str:
    return _NO_XML.sub("�", text)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str)
