import ast
import json
import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.openapi import KeyScheme
from portal.openapi.snippets import Call, call_of, snippets
from tests.openapi.documents import looking_at

NOWHERE = looking_at()
SERVER = "https://gateway.example.com/pets/v1"
BASIC = KeyScheme("basic", "Authorization")
HEADER, BEARER, QUERY = (
    KeyScheme("header", "X-API-Key"),
    KeyScheme("bearer", "Authorization"),
    KeyScheme("query", "api_key"),
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{}"), min_size=1, max_size=12)


def calling(operation, key=HEADER, path="/pets/{id}", method="post"):
    return call_of(method, path, operation, NOWHERE, server=SERVER, key=key)


class TestCallOf:
    def test_what_is_required_is_filled_and_the_rest_left_out(self):
        call = calling(
            {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
                    {"name": "kind", "in": "query", "required": True, "example": "a b"},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                    {"name": "X-Trace", "in": "header", "required": True, "schema": {"const": "t"}},
                    {"name": "x-api-key", "in": "header", "required": True, "schema": {"const": "their own"}},
                    {"name": "session", "in": "cookie", "required": True, "schema": {"const": "s;"}},
                ],
                "requestBody": {"content": {"text/plain": {}, "application/json": {"example": {"a": 1}}}},
            }
        )

        assert call.url == f"{SERVER}/pets/0?kind=a%20b"
        assert call.headers == (("X-Trace", "t"), ("Cookie", "session=s%3B"), ("Content-Type", "application/json"))
        assert call.body == '{\n  "a": 1\n}'

    def test_a_name_in_the_path_that_is_not_declared_is_filled(self):
        assert calling({}).url == f"{SERVER}/pets/string"

    def test_a_multipart_form_has_fields(self):
        schema = {"properties": {"name": {"const": "Rex"}, "picture": {"type": "string", "format": "binary"}}}

        call = calling({"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}})

        assert (call.fields, call.body) == ((("name", "Rex"), ("picture", "<binary>")), None)

    def test_no_header_can_end_its_line(self):
        parameter = {"name": "X\r\nEvil: yes", "in": "header", "required": True, "example": "a\r\nEvil: yes"}

        assert calling({"parameters": [parameter]}).headers == (("XEvilyes", "a??Evil: yes"),)


class TestSnippets:
    def test_a_simple_call_reads_well(self):
        made = snippets(calling({}, path="/pets", method="get"))

        assert made.curl == f'curl {SERVER}/pets \\\n  --header "X-API-Key: $PORTICO_KEY"'
        assert made.python == (
            f"import os\n\nimport requests\n\nresponse = requests.request(\n    'GET',\n    '{SERVER}/pets',\n"
            "    headers={\n        'X-API-Key': os.environ[\"PORTICO_KEY\"],\n    },\n    timeout=30,\n)\n"
            "response.raise_for_status()\nprint(response.text)\n"
        )
        assert made.javascript == (
            f'const response = await fetch("{SERVER}/pets", {{\n  method: "GET",\n  headers: {{\n'
            '    "X-API-Key": process.env.PORTICO_KEY,\n  },\n});\n'
            "console.log(response.status, await response.text());\n"
        )

    def test_the_key_goes_where_the_api_wants_it(self):
        bearer, query = (snippets(calling({}, key, "/pets?a=1", "get")) for key in (BEARER, QUERY))

        assert '--header "Authorization: Bearer $PORTICO_KEY"' in bearer.curl
        assert '\'Authorization\': "Bearer " + os.environ["PORTICO_KEY"]' in bearer.python
        assert '"Authorization": "Bearer " + process.env.PORTICO_KEY' in bearer.javascript
        assert 'api_key=\'"$PORTICO_KEY"' in query.curl
        assert "params={'api_key': os.environ[\"PORTICO_KEY\"]}" in query.python
        assert 'api_key=" + encodeURIComponent(process.env.PORTICO_KEY)' in query.javascript

    def test_no_key_is_named_where_none_is_asked_for(self):
        made = snippets(calling({}, None))

        assert "PORTICO_KEY" not in made.curl + made.python + made.javascript
        assert "import os" not in made.python

    @pytest.mark.parametrize("key", [HEADER, BEARER, QUERY], ids=lambda key: key.place)
    @given(name=NAME, value=TEXT, body=TEXT, path=NAME)
    def test_hostile_names_and_values_stay_what_they_are(self, key, name, value, body, path):
        parameters = [
            {"name": name, "in": "query", "required": True, "example": value},
            {"name": path, "in": "path", "required": True, "example": value},
            {"name": "X-Value", "in": "header", "required": True, "example": value},
        ]
        content = {"application/json": {"example": {name: value}}} if body < "m" else {"text/plain": {"example": body}}
        call = calling({"parameters": parameters, "requestBody": {"content": content}}, key, f"/{path}/{{{path}}}")
        made = snippets(call)

        self._is_curl(call, made.curl, key)
        self._is_python(call, made.python)
        self._is_javascript(call, made.javascript, key)

    def test_user_name_and_password_are_sent_as_such(self):
        made = snippets(calling({}, BASIC, "/pets", "get"))

        assert shlex.split(made.curl.replace(" \\\n  --", " --"))[-2:] == ["--user", "$PORTICO_KEY"]
        [auth] = [it.value for it in self._request(made.python).keywords if it.arg == "auth"]
        assert ast.unparse(auth) == "tuple(os.environ['PORTICO_KEY'].split(':'))"
        assert '"Authorization": "Basic " + btoa(process.env.PORTICO_KEY)' in made.javascript

    @pytest.mark.parametrize("key", [HEADER, BEARER, QUERY, BASIC], ids=lambda key: key.place)
    def test_a_real_shell_puts_the_key_in_and_nothing_else(self, key):
        value = 'it\'s $HOME `id` $(id) "quoted" \\\\ !x\n--end'
        content = {"application/json": {"example": {"a": value}}}
        call = calling({"requestBody": {"content": content}}, key, "/pets", "post")

        shell = subprocess.run(
            ["sh", "-c", f"curl() {{ printf '%s\\0' \"$@\"; }}\n{snippets(call).curl}"],
            env=os.environ | {"PORTICO_KEY": "the key"},
            capture_output=True,
            text=True,
            check=True,
        )

        words = shell.stdout.split("\0")[:-1]
        assert json.loads(words[-1]) == {"a": value}
        assert sum("the key" in word for word in words) == 1

    @given(fields=st.lists(st.tuples(NAME, TEXT), min_size=1, max_size=3))
    def test_hostile_fields_stay_what_they_are(self, fields):
        made = snippets(Call("POST", SERVER, fields=tuple(fields)))

        words = shlex.split(made.curl.replace(" \\\n  --", " --"))
        assert words[5::2] == [f"{name}={value}" for name, value in fields]
        appended = [line[12:-2] for line in made.javascript.split("\n") if line.startswith("form.append(")]
        assert [tuple(json.loads(f"[{line}]")) for line in appended] == fields
        [files] = [it.value for it in self._request(made.python).keywords if it.arg == "files"]
        assert ast.literal_eval(files) == [(name, (None, value)) for name, value in fields]

    @staticmethod
    def _is_curl(call, text, key):
        words = shlex.split(text.replace(" \\\n  --", " --"))
        query = key.place == "query"
        url = f"{call.url}{'&' if '?' in call.url else '?'}{key.name}=$PORTICO_KEY" if query else call.url
        said = "Authorization: Bearer $PORTICO_KEY" if key.place == "bearer" else f"{key.name}: $PORTICO_KEY"
        wanted = ["curl", "--request", "POST", url, *(() if query else ("--header", said))]
        for name, value in call.headers:
            wanted += ["--header", f"{name}: {value}" if value else f"{name};"]
        assert words == [*wanted, "--data-raw", call.body]

    @staticmethod
    def _request(text):
        [call] = [
            it.value for it in ast.parse(text).body if isinstance(it, ast.Assign) and isinstance(it.value, ast.Call)
        ]
        return call

    def _is_python(self, call, text):
        request = self._request(text)
        assert [ast.literal_eval(it) for it in request.args] == [call.method, call.url]
        given = {it.arg: it.value for it in request.keywords}
        headers = [
            (ast.literal_eval(name), ast.literal_eval(value))
            for name, value in zip(given["headers"].keys, given["headers"].values, strict=True)
            if isinstance(value, ast.Constant)
        ]
        assert headers == list(call.headers)
        assert ast.literal_eval(given["data"].func.value) == call.body

    @staticmethod
    def _is_javascript(call, text, key):
        lines = text.split("\n")
        url, _, _ = lines[0].removeprefix("const response = await fetch(").removesuffix(", {").partition(" + encode")
        assert json.loads(url).startswith(call.url)
        [body] = [line.removeprefix("  body: ").removesuffix(",") for line in lines if line.startswith("  body: ")]
        assert json.loads(body) == call.body
        headers = [line.strip().removesuffix(",") for line in lines if line.startswith("    ")]
        plain = [line for line in headers if "process.env" not in line]
        assert [next(iter(json.loads(f"{{{line}}}").items())) for line in plain] == list(call.headers)
        assert len(headers) - len(plain) == (key.place != "query")
