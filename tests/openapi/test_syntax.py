import codecs
import gzip
import json
from typing import Any

import pytest

from portal.errors import Invalid
from portal.openapi import Unreadable, read
from portal.openapi.findings import Findings
from portal.openapi.syntax import MOST_BYTES, MOST_DEEP, parse
from tests.openapi.given import described, document, sentences


def refusal(data: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read(data)
    return str(refused.value)


def parsed(data: bytes) -> Any:
    return parse(data, Findings())


class TestUnreadable:
    def test_it_belongs_to_the_field_of_the_document(self) -> None:
        with pytest.raises(Invalid) as refused:
            read(b"")

        assert refused.value.status == 422
        assert refused.value.fields == {"document": "The document is empty."}


class TestEncodings:
    @pytest.mark.parametrize(
        ("mark", "encoding"),
        [
            (b"", "utf-8"),
            (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"),
            (codecs.BOM_UTF16_BE, "utf-16-be"),
            (codecs.BOM_UTF32_LE, "utf-32-le"),
            (b"", "utf-16-le"),
            (b"", "utf-16-be"),
        ],
    )
    def test_unicode_is_known_with_and_without_a_mark(self, mark: bytes, encoding: str) -> None:
        data = mark + json.dumps({"name": "Größe 🐕"}, ensure_ascii=False).encode(encoding)

        assert parsed(data) == {"name": "Größe 🐕"}

    def test_another_encoding_is_read_with_a_warning(self) -> None:
        findings = Findings()

        assert parse("a: 1\nb: Größe".encode("cp1252"), findings) == {"a": 1, "b": "Größe"}
        assert "Line 2 is not UTF-8" in findings.warnings()[0].sentence

    def test_broken_utf_16_is_refused(self) -> None:
        assert "UTF-16" in refusal(codecs.BOM_UTF16_LE + b"{\x00}\x00\x00\xd8")


class TestOtherThings:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "is empty"),
            (b" \n\t ", "is empty"),
            (gzip.compress(b"{}", mtime=0), "a gzip file. Unpack it"),
            (b"PK\x03\x04...", "a ZIP archive. Unpack it"),
            (b"%PDF-1.7", "a PDF"),
            (b"\x00\x01\x02\x03\xff\xfe\xfd", "UTF-16"),
            (b"\xff\x01\x00\x02", "not text"),
            (b"<!DOCTYPE html><html><body>openapi: 3.0.0", "a web page"),
            (b"\n <html lang=en>", "a web page"),
            (b'<?xml version="1.0"?><note/>', "XML"),
            (b'<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/">', "WSDL"),
            (b'<application xmlns="http://wadl.dev.java.net/2009/02">', "WADL"),
            (b"#%RAML 1.0\ntitle: Pets", "RAML"),
            (b"FORMAT: 1A\n\n# Pets", "API Blueprint"),
            (b"type Query {\n  pets: [Pet]\n}", "GraphQL"),
            (b'syntax = "proto3";', "Protocol Buffers"),
            (b'{"data": {"__schema": {}}}', "GraphQL"),
            (b'{"swaggerVersion": "1.2", "apis": []}', "Swagger 1.2"),
            (b"asyncapi: 3.0.0", "AsyncAPI"),
            (b'{"info": {"_postman_id": "1", "name": "Pets"}, "item": []}', "Postman collection"),
            (b'{"kind": "discovery#restDescription"}', "Google discovery"),
            (b'{"log": {"entries": []}}', "HAR"),
            (b'{"$schema": "https://json-schema.org/draft/2020-12/schema"}', "a JSON Schema"),
            (b'{"pets": []}', "says neither openapi nor swagger"),
            (b"[1, 2]", "This is a list"),
            (b"hello", "plain text"),
            (b"null", "nothing in this document"),
            (b"# only a comment\n", "nothing in this document"),
            (b"42", "plain text"),
        ],
    )
    def test_each_is_named(self, data: bytes, words: str) -> None:
        assert words in refusal(data)

    def test_more_bytes_than_are_read_are_refused_unread(self) -> None:
        assert "reads up to 50 MB" in refusal(b"{" * (MOST_BYTES + 1))


class TestJSON:
    def test_what_is_broken_is_named_with_line_and_column(self) -> None:
        assert refusal(b'{"openapi": "3.0.0",\n  "paths" {}}').startswith("Line 2, column 11 is not JSON: ")
        assert refusal(b'{"openapi": "3.0.0", "paths": {').startswith("Line 1, column 32 is not JSON: ")

    @pytest.mark.parametrize(
        "text",
        [
            '{"openapi": "3.0.0", "paths": {},}',
            '{"openapi": "3.0.0", "paths": {} # nothing yet\n}',
            "{'openapi': '3.0.0', 'paths': {}}",
            '{openapi: "3.0.0", paths: {}}',
        ],
    )
    def test_what_people_write_for_json_is_read_with_a_warning(self, text: str) -> None:
        description = read(text.encode())

        assert description.tree["paths"] == {}
        assert "read as YAML" in description.warnings[0].sentence

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{"a": NaN}', "nan"),
            ('{"a": 1e400}', "inf"),
            ('{"a": -Infinity}', "-inf"),
            (f'{{"a": NaN, "b": {"9" * 400}}}', "nan"),
            ('{"a": "x\ty"}', "x\ty"),
            ('{"a": "\\ud800"}', "\ufffd"),
            ('{"a": "\x00"}', "\ufffd"),
            ('{"a": "\\u0000"}', "\ufffd"),
        ],
    )
    def test_values_that_nothing_can_store_are_made_harmless(self, text: str, value: Any) -> None:
        assert parsed(text.encode())["a"] == value

    def test_names_are_made_harmless_too(self) -> None:
        assert parsed(b'{"a\\u0000b": {"\\u0000": 1}}') == {"a\ufffdb": {"\ufffd": 1}}

    def test_long_numbers_become_what_64_bits_hold(self) -> None:
        assert parsed(b'{"a": 18446744073709551615, "b": 18446744073709551616}') == {"a": 2**64 - 1, "b": 2.0**64}

    def test_names_that_stand_twice_are_warned_of(self) -> None:
        description = read(b'{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {"get": {"responses": {}}}}}')

        assert len(description.operations) == 1
        assert "stands here twice" in sentences(description)["/paths/~1a"]

    @pytest.mark.parametrize("levels", [MOST_DEEP + 1, 1_000, 5_000, 100_000])
    @pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
    def test_deep_nesting_is_refused(self, levels: int, bracket: bytes) -> None:
        closing = {b"[": b"]", b'{"a":': b"}"}[bracket]

        refusal(bracket * levels + b"1" + closing * levels)
        refusal(bracket * levels)

    def test_as_deep_as_is_allowed_is_read(self) -> None:
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(90):
            schema = {"type": "array", "items": {"anyOf": [schema]}} if len(str(schema)) % 2 else {"not": schema}

        assert described(document(components={"schemas": {"Deep": schema}})).operations
