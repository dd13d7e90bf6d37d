import tracemalloc
from typing import Any

import pytest

from portal.openapi import Unreadable, read
from portal.openapi.findings import Findings
from portal.openapi.plain_yaml import read_yaml
from tests.openapi.given import sentences


def tree_of(text: str) -> Any:
    return read_yaml(text, Findings(), most_deep=100, most_weight=100_000)


def refusal(text: str) -> str:
    with pytest.raises(Unreadable) as refused:
        tree_of(text)
    return str(refused.value)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("", None),
            ("~", None),
            ("null", None),
            ("true", True),
            ("False", False),
            ("yes", "yes"),
            ("on", "on"),
            ("y", "y"),
            ("'true'", "true"),
            ("0", 0),
            ("-17", -17),
            ("+5", 5),
            ("1.50", 1.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("0x1F", 31),
            ("0o17", 15),
            ("017", "017"),
            ("0123.5", "0123.5"),
            ("1_000", "1_000"),
            ("12:30:00", "12:30:00"),
            ("2024-01-31", "2024-01-31"),
            ("2024-01-31T12:00:00Z", "2024-01-31T12:00:00Z"),
            (".inf", ".inf"),
            (".nan", ".nan"),
            ("1e999", "1e999"),
            ("9" * 30, 1e30),
            ("9" * 5_000, "9" * 5_000),
            ("!!str 5", "5"),
            ("!!int '5'", 5),
            ("!!binary aGVsbG8=", "aGVsbG8="),
            ('"a\\0b"', "a\ufffdb"),
            ("|\n  one\n  two\n", "one\ntwo\n"),
            ("=", "="),
            ("<<", "<<"),
        ],
    )
    def test_each_means_what_json_can_say(self, text: str, value: Any) -> None:
        got = tree_of(f"a: {text}")["a"]

        assert got == value
        assert type(got) is type(value)

    def test_keys_are_what_is_written(self) -> None:
        text = "200: a\non: b\nyes: c\n1.10: d\nnull: e\n2024-01-31: f\n0x10: g"

        assert list(tree_of(text)) == ["200", "on", "yes", "1.10", "null", "2024-01-31", "0x10"]

    def test_versions_are_words(self) -> None:
        tree = tree_of("openapi: 3.0\ninfo:\n  version: 1.10\n  title: 2024\nx:\n  version: 1.10")

        assert tree == {"openapi": "3.0", "info": {"version": "1.10", "title": "2024"}, "x": {"version": 1.1}}

    def test_tags_of_other_programs_are_left_out_with_a_warning(self) -> None:
        findings = Findings()

        tree = read_yaml("a: !Sub x\nb: !Map {c: 1}", findings, most_deep=9, most_weight=999)

        assert tree == {"a": "x", "b": {"c": 1}}
        assert [warning.pointer for warning in findings.warnings()] == ["/a", "/b"]

    def test_python_objects_are_not_made(self) -> None:
        assert tree_of("a: !!python/object/apply:os.getcwd []") == {"a": []}


class TestAliases:
    def test_what_repeats_is_read_where_it_repeats(self) -> None:
        assert tree_of("a: &x {b: 1}\nc: *x\nd: [*x, &y z, *y]") == {
            "a": {"b": 1},
            "c": {"b": 1},
            "d": [{"b": 1}, "z", "z"],
        }

    def test_merged_keys_give_way_to_own_ones(self) -> None:
        tree = tree_of("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]")

        assert tree["c"] == {"x": 1, "y": 1, "z": 3}

    def test_a_bomb_is_refused_before_it_goes_off(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
        tracemalloc.start()
        try:
            assert "aliases" in refusal("\n".join(lines))
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()

    def test_a_bomb_of_merges_is_refused(self) -> None:
        lines = ["a0: &a0 {x: xxxxxxxxxxxxxxxxxxxxxxxxxx}"]
        lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 60)]

        assert "aliases" in refusal("\n".join(lines))

    def test_long_texts_count_as_often_as_they_are_used(self) -> None:
        assert "aliases" in refusal(f"a: &a {'x' * 5_000}\nb: [{', '.join(['*a'] * 50)}]")

    def test_a_part_that_holds_itself_is_refused(self) -> None:
        assert "Line 2, column 6: *a refers to the very part it stands in." in refusal("a: &a\n  b: *a")

    def test_an_unknown_name_is_refused(self) -> None:
        assert "*nobody refers to a name that is given nowhere before." in refusal("a: *nobody")


class TestShape:
    def test_what_is_broken_is_named_with_line_and_column(self) -> None:
        assert refusal("a: 1\nb: [1, 2\nc: 3").startswith("Line 3, column 2 is not YAML: ")
        assert refusal("a: 1\n\tb: 2").startswith("Line 2, column 1 is not YAML: ")

    @pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
    def test_deep_nesting_is_refused(self, text: str) -> None:
        assert refusal(text)

    def test_keys_that_are_no_texts_are_refused(self) -> None:
        assert "quotation marks" in refusal("{id}: 1")

    def test_names_that_stand_twice_are_warned_of(self) -> None:
        description = read(b"openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {get: {responses: {}}}")

        assert len(description.operations) == 1
        assert "Line 4, column 3 gives “/a” a second time" in sentences(description)["/paths/~1a"]

    def test_a_second_document_is_left_out_with_a_warning(self) -> None:
        findings = Findings()

        assert read_yaml("a: 1\n---\nb: 2", findings, most_deep=9, most_weight=99) == {"a": 1}
        assert "Line 2, column 1 begins a second document" in findings.warnings()[0].sentence

    def test_control_characters_are_replaced_with_a_warning(self) -> None:
        description = read(b"openapi: 3.0.0\ninfo:\n  title: Pe\x08ts\npaths: {}")

        assert description.title == "Pe\ufffdts"
        assert "were replaced" in sentences(description)[""]
