import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.traffic.operations import Trie


def found(path: str, *templates: str, method: str = "GET") -> str:
    """Operations are named by their templates."""
    return Trie(("GET", template, template) for template in templates).find(method, path)


class TestFind:
    @pytest.mark.parametrize(
        ("path", "template"),
        [
            ("/", "/"),
            ("/things", "/things"),
            ("/things/5", "/things/{id}"),
            ("/things/5/parts/6", "/things/{id}/parts/{part}"),
            ("/things/5.json", "/things/{id}.json"),
            ("/v2/things", "/v{n}/things"),
            ("/compare/1.2...3.4", "/compare/{base}...{head}"),
            ("/users('5')/messages('6')", "/users('{id}')/messages('{message}')"),
            ("/v1/projects:cancel", "/v1/{name}:cancel"),
            ("/two/ab", "/two/{a}{b}"),
            ("/caf%C3%A9/5", "/café/{id}"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b", "/a b"),
            ("/things/a%2Fb", "/things/{id}"),
            ("/things/%2F%2Fany", "/things/{id}"),
            ("/%zz", "/%zz"),
            ("//things", "//things"),
            ("/things//", "/things//"),
            ("/files/a/b/c", "/files/{proxy+}"),
            ("/files/a", "/files/{+path}"),
            ("/files/a/b", "/files/{path*}"),
            ("/files/a/b", "/files/{path...}"),
            ("/search", "/search?type={type}"),
            ("/a{b", "/a{b"),
        ],
    )
    def test_template_matches(self, path, template):
        assert found(path, template) == template

    @pytest.mark.parametrize(
        ("path", "template"),
        [
            ("/", "/things"),
            ("/Things", "/things"),
            ("/things/", "/things/{id}"),
            ("/things//parts", "/things/{id}/parts"),
            ("/things/5/parts", "/things/{id}"),
            ("/things", "/things/{id}"),
            ("/.json", "/{id}.json"),
            ("/two/a", "/two/{a}{b}"),
            ("/a..b", "/{a}...{b}"),
            ("/a...", "/{a}...{b}"),
            ("/a/b", "/a%2Fb"),
            ("/things/%2Fany", "/things//any"),
            ("//any", "/{id}"),
            ("/GET", "/"),
            ("/%2FGET", "/"),
            ("/files", "/files/{proxy+}"),
            ("/files/a/b/c", "/files/{proxy+}/c"),
            ("*", "/"),
            ("", "/"),
            ("things", "/things"),
        ],
    )
    def test_template_does_not_match(self, path, template):
        assert found(path, template) == ""

    @pytest.mark.parametrize(
        ("path", "best", "others"),
        [
            ("/things/mine", "/things/mine", ["/things/{id}", "/things/m{id}"]),
            ("/things/a.json", "/things/{id}.json", ["/things/{id}", "/things/{proxy+}"]),
            ("/things/a.tar.gz", "/things/{id}.tar.gz", ["/things/{id}.gz", "/things/{id}", "/things/a{id}"]),
            ("/things/5", "/things/{id}", ["/things/{proxy+}", "/{any}/5"]),
            ("/a/b/c", "/a/{x}/c", ["/{x}/b/c", "/a/{x}/{y}", "/{p+}"]),
            ("/a/b/d", "/{x}/b/d", ["/a/b/c", "/a/{x}/c", "/{p+}"]),
            ("/things/", "/things/", ["/things"]),
            ("/things", "/things", ["/things/"]),
        ],
    )
    def test_more_concrete_template_wins_in_any_order(self, path, best, others):
        assert {found(path, *order) for order in itertools.permutations([best, *others])} == {best}

    def test_of_equal_templates_the_first_counts(self):
        trie = Trie([("GET", "/things/{id}", "first"), ("GET", "/things/{name}", "second")])

        assert trie.find("GET", "/things/5") == "first"

    def test_slash_at_the_end_is_forgiven_both_ways(self):
        assert found("/things/", "/things") == "/things"
        assert found("/things/5", "/things/{id}/") == "/things/{id}/"
        assert found("/things//", "/things") == ""

    def test_another_template_is_taken_where_the_more_concrete_one_has_not_that_method(self):
        trie = Trie([("GET", "/things/mine", "mine"), ("DELETE", "/things/{id}", "delete")])

        assert trie.find("DELETE", "/things/mine") == "delete"
        assert trie.find("PURGE", "/things/mine") == ""

    def test_methods_beyond_the_usual(self):
        trie = Trie([("QUERY", "/things", "query"), ("COPY", "/things/{id}", "copy")])

        assert (trie.find("QUERY", "/things"), trie.find("COPY", "/things/5")) == ("query", "copy")
        assert trie.find("copy", "/things/5") == ""

    def test_head_is_get_only_where_head_is_not_described(self):
        trie = Trie(
            [("GET", "/a", "get-a"), ("HEAD", "/a", "head-a"), ("GET", "/b", "get-b"), ("POST", "/c", "post-c")]
        )

        assert [trie.find("HEAD", path) for path in ("/a", "/b", "/c")] == ["head-a", "get-b", ""]
        assert trie.find("GET", "/a") == "get-a"


class TestHostileTemplates:
    """The search ends before it has found what stands last: that each step costs little is not enough."""

    def test_every_way_through_the_trie_nearly_matches(self):
        ways = list(itertools.product(("a", "{x}"), repeat=14))
        trie = Trie(
            ("GET", f"/{'/'.join(way)}/{'last' if n == len(ways) - 1 else 'end'}", f"op{n}")
            for n, way in enumerate(ways)
        )

        assert trie.find("GET", "/a" * 14 + "/end") == "op0"
        assert trie.find("GET", "/a" * 14 + "/last") == ""
        assert trie.find("GET", "/b" * 14 + "/last") == f"op{len(ways) - 1}"

    def test_thousands_of_partly_literal_segments(self):
        lengths = [f"{'a' * (n % 150)}{{x}}{'b' * (n // 150)}c" for n in range(22_000)]
        middles = [f"{{x}}-{n}-{{y}}" for n in range(22_000)]

        assert found("/aaac", *(f"/{each}" for each in lengths)) == ""
        assert found("/aaac", *(f"/{each}" for each in lengths[:5])) == "/aa{x}c"
        assert found("/x-21999-y", *(f"/{each}" for each in middles)) == ""
        assert found("/x-21999-y", *(f"/{each}" for each in middles[-5:])) == "/{x}-21999-{y}"

    def test_hundreds_of_variables_in_a_segment(self):
        many = ["/" + "{x}{y}a" * n for n in range(1, 500)]

        assert found("/" + "a" * 1_500, *many) == ""
        assert found("/" + "a" * 15, *many[:5]) == many[4]

    def test_very_deep_templates_and_paths(self):
        trie = Trie([("GET", "/a" * 5_000, "deep"), ("GET", "/a", "flat")])

        assert trie.find("GET", "/a" * 5_000) == ""
        assert trie.find("GET", "/a") == "flat"


PIECES = st.sampled_from(["a", "b", "ab", "{x}", "{x}.j", "a{x}", "a{x}b", "{x}-{y}", "{x}{y}", "", "{z+}"])
PATHS = st.lists(
    st.sampled_from(["a", "b", "ab", "aab", "x.j", "a-b", "a-", "", "%61", "a%2Fb"]), min_size=1, max_size=4
)
METHODS = st.sampled_from(["GET", "HEAD", "POST"])


@given(
    st.lists(st.tuples(METHODS, st.lists(PIECES, min_size=1, max_size=4)), max_size=25),
    METHODS,
    PATHS,
)
@example([("GET", ["a", ""]), ("HEAD", ["a"])], "HEAD", ["a", ""])
def test_trie_finds_what_trying_every_template_finds(described, method, segments):
    known = [(verb, "/" + "/".join(pieces), f"op{n}") for n, (verb, pieces) in enumerate(described)]
    path = "/" + "/".join(segments)

    assert Trie(known).find(method, path) == naive(known, method, path)


def naive(known: list[tuple[str, str, str]], method: str, path: str) -> str:
    """Every template as a regular expression of its own, the best by what its segments are, from left to right."""
    shapes = [shape_of(template) for _, template, _ in known]
    for way in (path, path[:-1] if path.endswith("/") else f"{path}/"):
        fitting: dict[tuple, dict[str, str]] = {}
        for n, (verb, _, name) in enumerate(known):
            if re.fullmatch("".join(map(expression, shapes[n])), way.replace("%61", "a")):
                rank = tuple(rank_of(shapes, shapes[n][: k + 1]) for k in range(len(shapes[n])))
                fitting.setdefault(rank, {}).setdefault(verb, name)
        for _, verbs in sorted(fitting.items()):
            name = verbs.get(method) or (verbs.get("GET") if method == "HEAD" else None)
            if name:
                return name
    return ""


def shape_of(template: str) -> list[str]:
    """Its segments, with `¤` for a variable and `…` for one that takes all that is left."""
    *segments, last = template.removeprefix("/").split("/")
    return [re.sub(r"\{[^}]*\}", "¤", each) for each in segments] + [
        "…" if last == "{z+}" else re.sub(r"\{[^}]*\}", "¤", last)
    ]


def expression(segment: str) -> str:
    return "/" + (r"[^/].*" if segment == "…" else re.escape(segment).replace("¤", "[^/]+"))


def rank_of(shapes: list[list[str]], beginning: list[str]) -> tuple[int, int, int]:
    """Of the last segment of the beginning of a template: smaller is better."""
    segment = beginning[-1]
    if segment in ("¤", "…"):
        return (2 if segment == "¤" else 3), 0, 0
    if "¤" not in segment:
        return 0, 0, 0
    first = next(n for n, shape in enumerate(shapes) if shape[: len(beginning)] == beginning)
    return 1, -len(segment.replace("¤", "")), first
