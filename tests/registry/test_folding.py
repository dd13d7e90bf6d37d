import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.registry.folding import MOST_ASKED, words_asked, words_of


class TestWordsOf:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("List all pets", ["list", "all", "pets"]),
            ("listPetOwners", ["listpetowners", "list", "pet", "owners"]),
            ("/pets/{petId}/owner_list", ["pets", "petid", "pet", "id", "owner", "list"]),
            ("HTTPServer", ["httpserver", "http", "server"]),
            ("Größe, Øl & Œuvre", ["grosse", "ol", "oeuvre"]),
            ("ГОСТ Ёлка", ["гост", "елка"]),
            ("हिन्दी", ["हिन्दी"]),
            ("订单管理 API", ["订单", "单管", "管理", "理", "api"]),
            ("ＡＢＣ ﬁle ½", ["abc", "file", "1", "2"]),
            ("-- '\"* 💥", []),
        ],
    )
    def test_words_are_folded_and_cut_whatever_their_script(self, text, words):
        assert words_of(text) == words

    def test_a_word_stands_there_once(self):
        assert words_of("Pet pet", "PET") == ["pet"]


class TestWordsAsked:
    def test_one_character_of_a_script_without_spaces_is_asked_for_by_itself(self):
        assert words_asked("单") == ["单"]

    def test_what_is_typed_together_is_one_word(self):
        assert words_asked("listPet") == ["listpet"]

    def test_a_long_search_is_cut(self):
        assert len(words_asked(" ".join(f"word{n}" for n in range(5_000)))) == MOST_ASKED

    @given(st.text())
    def test_every_word_that_is_asked_for_begins_one_that_was_indexed(self, text):
        indexed = words_of(text)
        assert [word for word in words_asked(text) if not any(each.startswith(word) for each in indexed)] == []

    @given(st.text())
    def test_words_hold_nothing_that_a_query_language_could_mean(self, text):
        assert not set("".join(words_of(text) + words_asked(text))) & set(" \t\n'\"\\*:&|!()<>-%_\0")
