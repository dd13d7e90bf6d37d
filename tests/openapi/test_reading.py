from typing import Any

import pytest

from portal.openapi import Tag, Unreadable, read
from tests.openapi.given import OK, described, document, sentences


class TestVersions:
    @pytest.mark.parametrize("version", ["2.0", "2", "2.0.0"])
    def test_swagger_2_is_upgraded(self, version: str) -> None:
        description = described({"swagger": version, "info": {}, "paths": {"/pets": {"get": OK}}})

        assert description.version == version
        assert description.tree["openapi"] == "3.0.3"

    @pytest.mark.parametrize(
        "version", ["3.0.0", "3.0", "3.0.4", "3.1.0", "3.1.2", "3.2.0", "3.1.0-rc1", "3", "v3.0.1"]
    )
    def test_every_3_is_read(self, version: str) -> None:
        description = described(document(openapi=version))

        assert description.version == version
        assert len(description.operations) == 1

    def test_a_newer_3_is_read_with_a_warning(self) -> None:
        description = described(document(openapi="3.3.0"))

        assert "newer than what Portico knows" in sentences(description)["/openapi"]

    @pytest.mark.parametrize("version", ["1.2", "4.0.0", "", "three", None, [], "3.1.0" * 100])
    def test_others_are_refused(self, version: Any) -> None:
        with pytest.raises(Unreadable, match=r"reads the versions 2\.0, 3\.0, 3\.1 and 3\.2"):
            described(document() | {"openapi": version})

    def test_a_version_that_is_a_number_is_read(self) -> None:
        assert described(document() | {"openapi": 3.1}).version == "3.1"
        assert read(b"openapi: 3.1\npaths: {}").version == "3.1"


class TestPaths:
    @pytest.mark.parametrize("version", ["3.0.0", "3.1.0"])
    def test_a_document_with_nothing_to_call_is_refused(self, version: str) -> None:
        with pytest.raises(Unreadable, match=f"version {version} without paths"):
            described({"openapi": version, "info": {"title": "Pets", "version": "1"}})

    @pytest.mark.parametrize("paths", [[], "none", 1, True])
    def test_paths_that_are_no_object_are_refused(self, paths: Any) -> None:
        with pytest.raises(Unreadable, match="paths of this document are no object"):
            described(document() | {"paths": paths})

    @pytest.mark.parametrize("part", [{"components": {"schemas": {}}}, {"webhooks": {"born": {"post": OK}}}])
    def test_a_document_without_operations_is_warned_of(self, part: dict[str, Any]) -> None:
        tree = {"openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}} | part

        assert "no operations" in sentences(described(tree))["/paths"]

    def test_webhooks_are_warned_of(self) -> None:
        description = described(document(openapi="3.1.0", webhooks={"born": {"post": OK}}))

        assert [operation.path for operation in description.operations] == ["/pets"]
        assert "do not pass the gateway" in sentences(description)["/webhooks"]


class TestWords:
    def test_a_document_without_faults_has_no_warnings(self) -> None:
        assert described(document()).warnings == ()
        assert described(document(openapi="3.1.0")).warnings == ()
        assert described(document(openapi="3.2.0")).warnings == ()

    def test_what_it_says_of_itself_is_read(self) -> None:
        info = {"title": " Pets\n of all kinds ", "summary": "Animals", "description": "# Pets\n", "version": 2}

        description = described(document(openapi="3.1.0", info=info))

        assert (description.title, description.summary) == ("Pets of all kinds", "Animals")
        assert (description.description, description.api_version) == ("# Pets", "2")

    @pytest.mark.parametrize("info", [None, [], "Pets", {"title": None, "version": {}}, {"title": ["Pets"]}])
    def test_words_that_are_none_are_empty(self, info: Any) -> None:
        description = described(document(info=info))

        assert (description.title, description.api_version) == ("", "")

    def test_tags_are_those_described_and_those_only_used(self) -> None:
        operation = {**OK, "tags": ["cats", "dogs", "cats", "", None]}
        tags = [{"name": "dogs", "description": "Bark"}, {"name": "dogs"}, {"description": "nameless"}, "birds"]

        description = described(document({"/pets": {"get": operation}}, tags=tags))

        assert description.tags == (Tag("dogs", "Bark"), Tag("cats"))
        assert description.operations[0].tags == ("cats", "dogs")


class TestWarnings:
    def test_they_are_bounded_and_counted(self) -> None:
        paths = {f"/p{n}": {"get": {**OK, "odd": n}} for n in range(1_000)}

        warnings = described(document(paths)).warnings

        assert len(warnings) == 201
        assert warnings[-1].sentence == "And 800 more of this kind."

    def test_long_names_are_cut(self) -> None:
        name = "x" * 100_000

        warnings = described(document(**{name: 1}, components={name: {"$ref": "#/" + name * 2}})).warnings

        assert warnings
        assert all(len(warning.pointer) + len(warning.sentence) < 2_000 for warning in warnings)
