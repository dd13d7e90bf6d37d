"""Whatever it is given, `read` gives a Description or says Unreadable: nothing else, and soon."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.openapi import Description, Unreadable, read
from portal.openapi.operations import LONGEST_ID
from tests.openapi.given import document

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.json"))
SMALL = [path for path in SPECS if path.stat().st_size < 60_000]

texts = st.text(max_size=8) | st.sampled_from(["$ref", "#/paths", "get", "/a", "string", "", "~", "\x00", "\ud800"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@cache
def spec(path: Path) -> bytes:
    return path.read_bytes()


def outcome(data: bytes) -> Description | str:
    try:
        description = read(data)
    except Unreadable as unreadable:
        sentence = str(unreadable)
    else:
        assert_storable(description)
        return description
    assert sentence.endswith(".")
    assert len(sentence) < 500
    return sentence


def assert_storable(description: Description) -> None:
    stored = orjson.dumps(description.tree)
    assert b"\\u0000" not in stored
    ids = [operation.id for operation in description.operations]
    assert len({id_.lower() for id_ in ids}) == len(ids)
    assert all(0 < len(id_) <= LONGEST_ID for id_ in ids)
    assert all(operation.path.startswith("/") for operation in description.operations)
    assert len(description.warnings) < 1_000
    json.dumps([(warning.pointer, warning.sentence) for warning in description.warnings]).encode()


def replaced(tree: Any, chance: random.Random, value: Any) -> Any:
    """`tree` with one of its parts replaced by `value`, removed, doubled or moved."""
    places: list[tuple[Any, Any]] = []
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places += [(node, key) for key in keys]
        ahead += [node[key] for key in keys if isinstance(node[key], dict | list)]
    node, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            node[key] = value
        case 1:
            del node[key]
        case 2:
            other, other_key = chance.choice(places)
            node[key] = json.loads(json.dumps(other[other_key])) if isinstance(other, dict) else value
        case 3 if isinstance(node, dict):
            node[str(value)[:20]] = node.pop(key)
    return tree


class TestAnything:
    @given(st.binary(max_size=200))
    @example(b"\xef\xbb\xbf")
    @example(b"\xff\xfe")
    def test_bytes(self, data: bytes) -> None:
        outcome(data)

    @given(st.text(alphabet="{}[]:,-?&*!|>'\"%@` \n\tab1~#<", max_size=60))
    def test_text_that_looks_like_something(self, text: str) -> None:
        outcome(text.encode())
        outcome(b"openapi: 3.0.0\npaths:\n  " + text.encode())

    @given(values)
    def test_json(self, value: Any) -> None:
        outcome(json.dumps(value).encode())

    @given(
        st.sampled_from(["2.0", "3.0.0", "3.1.0", "3.2.0"]),
        st.dictionaries(
            st.sampled_from(
                [
                    *("info", "servers", "paths", "components", "security", "tags", "webhooks", "host", "schemes"),
                    *("definitions", "parameters", "responses", "securityDefinitions", "consumes", "basePath"),
                ]
            ),
            values,
        ),
    )
    def test_documents_of_anything(self, version: str, parts: dict[str, Any]) -> None:
        tree = {"swagger" if version == "2.0" else "openapi": version, "paths": {}} | parts

        outcome(json.dumps(tree).encode())

    @given(st.lists(st.tuples(texts, texts, texts), max_size=8))
    def test_ids_are_unique_and_of_the_document_alone(self, named: list[tuple[str, str, str]]) -> None:
        paths: dict[str, Any] = {}
        for path, method, id_ in named:
            paths.setdefault(path, {})[method if method.isascii() and method.isupper() else "get"] = {
                "operationId": id_
            }
        data = json.dumps(document(paths)).encode()

        assert outcome(data) == outcome(data)


class TestMutations:
    @settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
    @given(st.sampled_from(SMALL), st.randoms(use_true_random=False), values)
    def test_a_part_that_was_changed(self, path: Path, chance: random.Random, value: Any) -> None:
        tree = json.loads(spec(path))
        for _ in range(chance.randrange(1, 6)):
            tree = replaced(tree, chance, value)

        outcome(json.dumps(tree).encode())

    @settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
    @given(st.sampled_from(SMALL), st.randoms(use_true_random=False), st.binary(min_size=1, max_size=4))
    def test_bytes_that_were_changed(self, path: Path, chance: random.Random, noise: bytes) -> None:
        data = spec(path)
        at = chance.randrange(len(data))

        outcome(data[:at] + noise + data[at + chance.randrange(6) :])
        outcome(data[:at])
