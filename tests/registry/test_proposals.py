"""What a document suggests for an API, and how a new one meets what people edited."""

from typing import Any

import pytest

from portal import openapi
from portal.registry import read_document
from portal.registry.descriptions import Facts
from portal.registry.document import KeyPlace
from portal.registry.merging import Meeting, meetings, merged
from portal.registry.proposals import Proposal, proposal, version_of

FROM = "https://docs.example/specs/openapi.json"


def facts(**values: Any) -> Facts:
    plain: dict[str, Any] = {
        "version": "3.1.0",
        "title": "Pets",
        "summary": "",
        "description": "",
        "api_version": "1.0",
        "servers": ("https://pets.example",),
        "tags": (),
        "key": None,
        "warnings": (),
        "warning_count": 0,
    }
    return Facts(**plain | values)


class TestProposal:
    def test_names_and_texts(self):
        found = proposal(facts(title="  The\n Pets ", summary="Short.", api_version="2.1.0"))

        assert (found.name, found.slug, found.version, found.description) == ("The Pets", "the-pets", "v2", "Short.")
        assert found.remarks == {}

    @pytest.mark.parametrize(
        ("said", "version"),
        [
            ("1.0.0", "v1"),
            ("v3", "v3"),
            ("V2.1", "v2"),
            ("0.4.1", "v0"),
            ("1.0.0-beta.2+7", "v1"),
            ("2023-10-01", "2023-10-01"),
            ("2023-10-01-preview", "2023-10-01-preview"),
            ("2020.1", "v2020"),
            ("Winter Release", "winter-release"),
            ("", "v1"),
            ("最新", "v1"),
            ("...", "v1"),
            ("x" * 99, "x" * 30),
        ],
    )
    def test_versions(self, said, version):
        assert version_of(said) == version

    def test_names_of_any_letters_have_no_slug_by_themselves(self):
        assert (proposal(facts(title="宠物")).name, proposal(facts(title="宠物")).slug) == ("宠物", "")
        assert proposal(facts(title="Ünïcödé")).slug == "unicode"
        assert proposal(facts(title="X")).slug == "x"

    def test_long_slugs_end_with_a_word(self):
        title = "Listen API: Podcast Search, Directory, and Insights API"

        assert proposal(facts(title=title)).slug == "listen-api-podcast-search-directory-and"
        assert proposal(facts(title="y" * 80)).slug == "y" * 40

    def test_what_is_too_long_is_cut_and_said(self):
        found = proposal(facts(title="n" * 99, description="d" * 30_000))

        assert (len(found.name), len(found.description)) == (80, 20_000)
        assert found.remarks.keys() == {"name", "description"}

    @pytest.mark.parametrize(
        ("servers", "fetched_from", "targets", "remark"),
        [
            (("https://a.example/", "https://b.example/x"), "", ("https://a.example", "https://b.example/x"), ""),
            (("http://a.example", "https://a.example"), "", ("https://a.example", "http://a.example"), ""),
            (("/v1",), FROM, ("https://docs.example/v1",), ""),
            (("v1",), FROM, ("https://docs.example/specs/v1",), ""),
            (("/v1",), "", (), "is relative"),
            ((), "", (), "does not say where"),
            (("https://{region}.a.example",), "", (), "has the variable region without a default"),
            (("https://{region}.a.example", "https://b.example"), "", ("https://b.example",), ""),
            (("https://a.example?x=1",), "", (), "Leave out what follows ?"),
            (("wss://a.example",), "", (), "Begin the address with http"),
            (("https://a b.example",), "", (), "is not a host name"),
            (("https://[::1",), "", (), "is no address"),
            (("https://a.example:99999",), "", (), "its port"),
        ],
    )
    def test_targets(self, servers, fetched_from, targets, remark):
        found = proposal(facts(servers=servers), fetched_from)

        assert found.targets == targets
        assert remark in found.remarks.get("target", "")
        assert bool(remark) is ("target" in found.remarks)

    @pytest.mark.parametrize(
        ("scheme", "key", "remark"),
        [
            (None, None, ""),
            (openapi.KeyScheme("header", "X-Pets"), KeyPlace(place="header", name="X-Pets"), ""),
            (openapi.KeyScheme("query", "key"), KeyPlace(place="query", name="key"), ""),
            (openapi.KeyScheme("bearer", "Authorization"), KeyPlace(place="bearer", name="Authorization"), ""),
            (openapi.KeyScheme("header", "Cookie"), None, "The header Cookie has a meaning of its own"),
        ],
    )
    def test_keys(self, scheme, key, remark):
        found = proposal(facts(key=scheme))

        assert found.key == key
        assert remark in found.remarks.get("key", "")

    def test_tags(self):
        tags = tuple(openapi.Tag(name) for name in ("Pets", "pets", "long" * 11, *map(str, range(40))))

        found = proposal(facts(tags=tags))

        assert found.tags == ("Pets", *map(str, range(29)))
        assert "41 tags" in found.remarks["tags"]


def said(**values: Any) -> Proposal:
    plain: dict[str, Any] = {
        "name": "Pets",
        "description": "All.",
        "targets": ("https://pets.example",),
        "key": KeyPlace(name="X-Pets"),
        "tags": ("pets",),
        "slug": "pets",
        "version": "v1",
    }
    return Proposal(**plain | values)


def draft(**values: Any) -> Any:
    plain: dict[str, Any] = {
        "name": "Pets",
        "description": "All.",
        "path": "/pets",
        "upstream": {"targets": [{"url": "https://pets.example"}]},
        "key": {"place": "header", "name": "X-Pets"},
        "tags": ["pets"],
    }
    return read_document(plain | values)


THEIRS = {
    "name": "Animals",
    "description": "Some.",
    "targets": ("https://animals.example",),
    "key": KeyPlace(place="bearer"),
    "tags": ("animals",),
}
MINE: dict[str, Any] = {
    "name": "Mine",
    "description": "Mine.",
    "upstream": {"targets": [{"url": "https://mine.example"}]},
    "key": {"place": "query", "name": "mine"},
    "tags": ["mine"],
}
FIELDS = ["name", "description", "target", "key", "tags"]


def names(found: list[Meeting]) -> list[tuple[str, bool]]:
    return [(each.field, each.is_conflict) for each in found]


class TestMerging:
    def test_equal_ones_meet_nowhere(self):
        assert meetings(said(), draft(), said()) == []

    def test_what_only_the_document_changed_follows_it(self):
        assert names(meetings(said(), draft(), said(**THEIRS))) == [(field, False) for field in FIELDS]

    def test_what_only_people_changed_stays(self):
        assert meetings(said(), draft(**MINE), said()) == []

    def test_what_both_changed_is_decided(self):
        assert names(meetings(said(), draft(**MINE), said(**THEIRS))) == [(field, True) for field in FIELDS]

    def test_what_both_changed_to_the_same_is_no_matter(self):
        assert meetings(said(), draft(name="Animals"), said(name="Animals")) == []

    def test_without_a_document_so_far_every_difference_is_decided(self):
        assert names(meetings(None, draft(), said(**THEIRS))) == [(field, True) for field in FIELDS]
        assert meetings(None, draft(), said(description="", key=None, tags=(), targets=())) == []

    def test_one_of_several_servers_is_as_good_as_the_first(self):
        several = said(targets=("https://a.example", "https://pets.example"))

        assert meetings(several, draft(), several) == []
        assert names(meetings(several, draft(), said(targets=("https://new.example",)))) == [("target", False)]

    def test_several_targets_were_made_by_hand(self):
        mine = draft(upstream={"targets": [{"url": "https://a.example"}, {"url": "https://b.example"}]})

        (found,) = meetings(said(), mine, said(targets=("https://new.example",)))
        assert found.is_conflict

    def test_document_that_says_no_more_where_it_is_takes_nothing_away(self):
        assert meetings(said(), draft(), said(targets=(), key=None)) == []

    def test_case_of_tags_is_no_matter(self):
        assert meetings(said(), draft(tags=["Pets"]), said(tags=("PETS",))) == []

    def test_only_chosen_fields_are_taken(self):
        mine = draft(upstream={"targets": [{"url": "https://pets.example"}], "retries": 3})

        values = merged(mine, said(**THEIRS), ["target", "key"], "a" * 64)
        document = read_document(values, typed=True)

        assert document.upstream.targets[0].url == "https://animals.example"
        assert document.upstream.retries == 3
        assert (document.key.place, document.name, document.tags) == ("bearer", "Pets", ("pets",))
        assert document.openapi == "a" * 64

    def test_all_fields_can_be_taken(self):
        document = read_document(merged(draft(**MINE), said(**THEIRS), FIELDS, "a" * 64), typed=True)

        assert meetings(said(**THEIRS), document, said(**THEIRS)) == []
        assert document.path == "/pets"
