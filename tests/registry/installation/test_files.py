import pytest
import yaml as any_yaml
from hypothesis import given
from hypothesis import strategies as st

from portal.registry import installation as room
from portal.registry.installation import yaml
from portal.registry.installation.values import Installation, Source
from tests.registry.installation import made

_scalars = (
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(st.characters(exclude_categories=["Cs"]))
)
_trees = st.recursive(
    _scalars,
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), below, max_size=4)
    ),
    max_leaves=12,
)


def problems(*texts: str) -> list[str]:
    return [str(problem) for problem in made.loaded(*texts).problems]


class TestYAML:
    @given(st.dictionaries(st.text("abc", min_size=1), _trees, min_size=1))
    def test_what_is_written_is_read_by_us_and_by_others(self, tree):
        text = yaml.written(tree)

        assert [document.data for document in yaml.read(text)] == [tree]
        assert any_yaml.safe_load(text) == tree

    def test_long_texts_are_blocks_and_nothing_is_an_alias(self):
        shared = {"a": 1}

        assert yaml.written({"text": "one\ntwo\n", "x": shared, "y": shared}) == (
            "text: |\n  one\n  two\nx:\n  a: 1\ny:\n  a: 1\n"
        )

    @pytest.mark.parametrize("word", ["no", "1:30", "2026-11-20", "0o17", "0x1f", "1e3", "yes", "<<"])
    def test_words_that_only_look_like_something_else_are_texts(self, word):
        assert [document.data for document in yaml.read(f"a: {word}")] == [{"a": word}]


class TestProblems:
    """Each with file, line and path."""

    def test_all_of_all_files_are_told(self):
        one = "portico: 1\nteams:\n- slug: Shop\n  name: ''\n  colour: red\n"
        two = "portico: 1\nplans:\n- team: shop\n  slug: gold\n  name: Gold\n  per_second: many\n"

        assert problems(one, two) == [
            "0.yaml:3: teams[0].slug: Use small letters, digits and dashes, such as orders.",
            "0.yaml:4: teams[0].name: Give it a name.",
            "0.yaml:5: teams[0].colour: This field does not exist.",
            "1.yaml:6: plans[0].per_second: Give a whole number.",
        ]

    def test_inside_a_document(self):
        text = made.EVERYTHING.replace("url: https://orders.example", "url: ftp://orders.example")

        assert problems(text) == [
            "0.yaml:47: apis[0].document.upstream.targets[0].url: Begin the address with http:// or https://."
        ]

    def test_what_is_missing_is_told_where_it_should_stand(self):
        assert problems("portico: 1\nteams:\n- slug: shop\n") == ["0.yaml:3: teams[0].name: This is needed."]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("portico: 1\nteams: [", "0.yaml:3: This is not YAML: did not find expected node content (column 1)."),
            ("portico: 1\nportico: 1\n", "0.yaml:2: portico stands here twice."),
            ("a: 1\n", "0.yaml:1: This is no file of Portico's: it has no line `portico: 1`."),
            ("- a\n", "0.yaml:1: This is no file of Portico's: it has no line `portico: 1`."),
            ("# note\nportico: 2\n", "0.yaml:2: This file is written in version 2; this release reads 1."),
            (
                "portico: 1\nteams: &a\n- *a\n",
                "0.yaml:3: *a stands for what is written elsewhere. Write it out here.",
            ),
            (
                "portico: 1\napis:\n- team: shop\n  slug: a\n  version: 1.0\n",
                "0.yaml:5: apis[0].version: Give a text; between quotes, where it looks like a number.",
            ),
        ],
    )
    def test_a_file_that_is_no_file(self, text, said):
        assert said in problems(text)

    def test_bytes_that_are_no_text(self):
        assert [str(each) for each in room.load([("a.yaml", b"\xff\xfe")]).problems] == [
            "a.yaml: This is not a text in UTF-8."
        ]

    def test_deep_nesting_is_refused(self):
        (said,) = problems("portico: 1\nteams: " + "[" * 100_000)

        assert said.startswith("0.yaml:")

    def test_a_thing_that_stands_in_two_files(self):
        text = "portico: 1\nteams:\n- slug: shop\n  name: Shop\n"

        assert problems(text, text) == [
            "1.yaml:3: teams[0]: The team shop stands in 0.yaml, line 3, already. Take one out."
        ]

    def test_a_subscription_that_stands_twice(self):
        text = made.EVERYTHING.replace("payments/refunds/v1", "payments/orders/v1")

        assert [line.partition(": ")[2] for line in problems(text)] == [
            "consumers[0].subscriptions[1]: The subscription of shop/web to payments/orders/v1 stands in 0.yaml, "
            "line 97, already. Take one out."
        ]

    def test_an_api_that_is_not_published_has_nothing_live(self):
        text = made.EVERYTHING.replace("  paused: true\n", "  published: false\n")

        assert problems(text) == [
            "0.yaml:48: apis[1]: An API that is not published has no live document. Leave one of the two out."
        ]


class TestFolder:
    def test_one_file_a_team_and_an_api(self):
        found = room.as_folder(made.read(made.EVERYTHING))

        assert sorted(found) == [
            "apis/payments/orders/v1.yaml",
            "apis/payments/orders/v2.yaml",
            "apis/payments/refunds/v1.yaml",
            "teams/payments.yaml",
            "teams/shop.yaml",
        ]
        assert b"Web shop" in found["teams/shop.yaml"]

    def test_several_documents_may_stand_in_one_file(self):
        parts = [data.decode() for data in room.as_folder(made.read(made.EVERYTHING)).values()]

        assert len(list(made.read("---\n".join(parts)).things())) == len(list(made.read(made.EVERYTHING).things()))

    def test_what_an_earlier_export_left_is_found_and_nothing_else(self):
        old = room.as_folder(made.read(made.EVERYTHING))
        there = old | {
            "apis/payments/orders/v1.openapi.json": b"{}",
            "apis/payments/refunds/v1.openapi.json": b"{}",
            "apis/by-hand.yaml": b"portico: 1\n",
        }
        new = [name for name in old if "refunds" not in name]

        assert room.left_over(there, new) == ["apis/payments/refunds/v1.openapi.json", "apis/payments/refunds/v1.yaml"]


class TestSources:
    @pytest.mark.parametrize("data", [b"openapi: 3.1.0\n", b"{}\r\n", "\ufeffopenapi: ü\x85\n".encode(), b"\xff\xfe\0"])
    def test_their_bytes_come_back_from_one_file(self, data):
        text = room.as_text(Installation(sources=(Source.of(data),)))

        assert list(made.loaded(text).sources.values()) == [data]

    def test_a_text_that_somebody_touched_is_refused(self):
        text = room.as_text(Installation(sources=(Source.of(b"openapi: 3.1.0\n"),)))

        (said,) = problems(text.replace("3.1.0", "3.1.1"))
        assert said.startswith("0.yaml:3: sources[0]: The SHA-256 of this text is ")

    def test_beside_the_files_they_are_known_by_their_hash(self):
        loaded = room.load([("apis/a/b/v1.openapi.yaml", b"openapi: 3.1.0\n")])

        assert list(loaded.sources.values()) == [b"openapi: 3.1.0\n"]
        assert loaded.problems == []
