"""The same call in curl, Python and JavaScript, ready to be pasted: the gateway's address, samples for what is
required, and the key from the environment, never written out."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from portal.openapi import bodies
from portal.openapi.export import KeyPlace
from portal.openapi.references import Look, follow
from portal.openapi.samples import sample_of_media, sample_of_parameter

VARIABLE = "PORTICO_KEY"
_NO_HEADER_NAME = re.compile(r"[^A-Za-z0-9!#$%&'*+.^_`|~-]")
_NO_HEADER_VALUE = re.compile(r"[^\t\x20-\x7e]")
_TEMPLATE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent, whatever the language."""

    method: str
    url: str
    """With what the path and the query ask for, the key left out."""
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    """Of a multipart form, instead of `body`."""
    key: tuple[str, str] | None = None
    """Where the key goes: (place, name), as in `KeyPlace`; None where none is asked for."""


@dataclass(frozen=True, slots=True)
class Snippets:
    curl: str
    python: str
    javascript: str


def snippets(call: Call) -> Snippets:
    return Snippets(curl(call), python(call), javascript(call))


def call_of(
    method: str, path: str, operation: dict[str, Any], look: Look, *, server: str, key: KeyPlace | None
) -> Call:
    """The smallest call that the operation (whole: `references.operation_at`) takes, with samples for everything that
    is required. `path` is its template, `server` the gateway's address of the API."""
    parameters = [follow(entry, look)[0] for entry in _list(operation.get("parameters"))]
    parameters = [it for it in parameters if isinstance(it, dict) and isinstance(it.get("name"), str)]
    in_path = {it["name"]: it for it in parameters if it.get("in") == "path"}
    query: bodies.Pairs = []
    headers: bodies.Pairs = []
    cookies: bodies.Pairs = []
    for parameter in parameters:
        place, name = str(parameter.get("in")), parameter["name"]
        if parameter.get("required") is not True or _is_key(key, place, name):
            continue
        if place in {"query", "cookie"}:
            (query if place == "query" else cookies).extend(
                bodies.query_pairs(parameter, sample_of_parameter(parameter, look))
            )
        elif place == "header" and name.lower() not in {"accept", "content-type", "authorization"}:
            headers.append((name, bodies.simple(parameter, sample_of_parameter(parameter, look))))
    if cookies:
        headers.append(("Cookie", "; ".join(f"{name}={quote(value, safe='')}" for name, value in cookies)))
    media, body, fields = _body(operation, look)
    if media is not None and not fields:
        headers.append(("Content-Type", media))
    filled = _TEMPLATE.sub(lambda hole: _filled(hole[1], in_path, look), path)
    url = server.rstrip("/") + quote(filled, safe="/%:@!$&'()*+,;=~")
    return Call(
        method.upper(),
        url + (f"?{urlencode(query, quote_via=quote)}" if query else ""),
        tuple((_NO_HEADER_NAME.sub("", name), _NO_HEADER_VALUE.sub("?", value)) for name, value in headers),
        body,
        tuple(fields),
        None if key is None else (key.place, key.name),
    )


def curl(call: Call) -> str:
    """Lines for a POSIX shell. The key stands in double quotes, so that the shell puts it in; all else is quoted."""
    how = {"GET": "", "HEAD": "--head "}.get(call.method, f"--request {shlex.quote(call.method)} ")
    url = shlex.quote(call.url)
    if call.key is not None and call.key[0] == "query":
        url = f'{shlex.quote(_with_query(call.url, call.key[1]))}"${VARIABLE}"'
    quoted = [f"curl {how}{url}"]
    if call.key is not None and call.key[0] == "basic":
        quoted.append(f'--user "${VARIABLE}"')
    elif call.key is not None and call.key[0] != "query":
        name = _NO_HEADER_NAME.sub("", call.key[1])
        said = "Authorization: Bearer " if call.key[0] == "bearer" else f"{name}: "
        # A quote of the name ends the single quotes; the key alone stands in double ones.
        head = f'"{said}${VARIABLE}"' if not re.search(r'[$`"\\!]', said) else f'{shlex.quote(said)}"${VARIABLE}"'
        quoted.append(f"--header {head}")
    quoted += [f"--header {shlex.quote(f'{name}: {value}' if value else f'{name};')}" for name, value in call.headers]
    quoted += [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in call.fields]
    if call.body is not None:
        quoted.append(f"--data-raw {shlex.quote(call.body)}")
    return " \\\n  ".join(quoted)


def python(call: Call) -> str:
    """A script for Python 3 with requests."""
    lines = ["import os", "", "import requests", "", "response = requests.request(", f"    {call.method!r},"]
    lines.append(f"    {call.url!r},")
    key = f'os.environ["{VARIABLE}"]'
    headers = [f"        {name!r}: {value!r}," for name, value in call.headers]
    if call.key is not None and call.key[0] == "query":
        lines.append(f"    params={{{call.key[1]!r}: {key}}},")
    elif call.key is not None and call.key[0] == "basic":
        lines.append(f'    auth=tuple({key}.split(":")),')
    elif call.key is not None:
        value = f'"Bearer " + {key}' if call.key[0] == "bearer" else key
        headers.insert(0, f"        {call.key[1]!r}: {value},")
    if headers:
        lines += ["    headers={", *headers, "    },"]
    if call.fields:
        # (None, value) is a field of a multipart form that is no file.
        lines += ["    files=[", *(f"        ({name!r}, (None, {value!r}))," for name, value in call.fields), "    ],"]
    if call.body is not None:
        lines.append(f"    data={_python_text(call.body)},")
    lines += ["    timeout=30,", ")", "response.raise_for_status()", "print(response.text)"]
    if call.key is None:
        lines = lines[2:]
    return "\n".join(lines) + "\n"


def javascript(call: Call) -> str:
    """A module for Node and everything else that has fetch."""
    key = f"process.env.{VARIABLE}"
    url = _js(call.url)
    if call.key is not None and call.key[0] == "query":
        url = f"{_js(_with_query(call.url, call.key[1]))} + encodeURIComponent({key})"
    lines = []
    if call.fields:
        lines += ["const form = new FormData();"]
        lines += [f"form.append({_js(name)}, {_js(value)});" for name, value in call.fields]
        lines += [""]
    lines += [f"const response = await fetch({url}, {{", f"  method: {_js(call.method)},"]
    headers = [f"    {_js(name)}: {_js(value)}," for name, value in call.headers]
    if call.key is not None and call.key[0] != "query":
        value = {"bearer": f'"Bearer " + {key}', "basic": f'"Basic " + btoa({key})'}.get(call.key[0], key)
        headers.insert(0, f"    {_js(call.key[1])}: {value},")
    if headers:
        lines += ["  headers: {", *headers, "  },"]
    if call.fields:
        lines.append("  body: form,")
    elif call.body is not None:
        lines.append(f"  body: {_js(call.body)},")
    lines += ["});", "console.log(response.status, await response.text());"]
    return "\n".join(lines) + "\n"


def _body(operation: dict[str, Any], look: Look) -> tuple[str | None, str | None, bodies.Pairs]:
    """Media type, text and, of a multipart form, fields. JSON is preferred, then the first one that is a text."""
    said, _ = follow(operation.get("requestBody"), look)
    content = said.get("content") if isinstance(said, dict) else None
    if not isinstance(content, dict) or not content:
        return None, None, []
    media = min(content, key=lambda it: 0 if bodies.is_json(it) else 1 if bodies.is_form(it) else 2)
    holder, _ = follow(content[media], look)
    value = sample_of_media(holder, look, sending=True)
    if bodies.is_multipart(media):
        return media, None, bodies.form_pairs(value)
    schema = holder.get("schema", {}) if isinstance(holder, dict) else {}
    sent = "application/json" if "*" in media else _NO_HEADER_VALUE.sub("", media)
    # No shell can hand over a NUL.
    return sent, bodies.body_text(sent, value, schema, look).replace("\0", ""), []


def _filled(name: str, parameters: dict[str, dict[str, Any]], look: Look) -> str:
    parameter = parameters.get(name) or {"name": name, "in": "path", "schema": {"type": "string"}}
    return bodies.in_path(parameter, sample_of_parameter(parameter, look))


def _is_key(key: KeyPlace | None, place: str, name: str) -> bool:
    if key is None:
        return False
    wanted = "authorization" if key.place in {"bearer", "basic"} else key.name.lower()
    return place == ("query" if key.place == "query" else "header") and name.lower() == wanted


def _python_text(text: str) -> str:
    """A body of several lines as lines, each a literal of its own, so that it is read as it is sent."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return f"{text!r}.encode()"
    return "(\n" + "".join(f"        {line!r}\n" for line in lines) + "    ).encode()"


def _with_query(url: str, name: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{quote(name, safe='')}="


def _js(text: str) -> str:
    # JSON is JavaScript but for two separators of lines, which old engines take as the end of the text.
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
