import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from portal.accounts.passwords import is_easily_guessed


class TestIsEasilyGuessed:
    def test_are_all_common_passwords_that_are_long_enough_to_be_taken(self):
        common = [each for each in FREQUENCY_LISTS["passwords"] if len(each) >= 10]

        assert len(common) > 1_000
        assert [each for each in common if not is_easily_guessed(each)] == []

    @pytest.mark.parametrize(
        "password",
        ["Password123", "P4ssw0rd!!", "qwertyuiop", "1234567890", "1qaz2wsx3edc", "aaaaaaaaaa", "iloveyou2012"],
    )
    def test_are_those_that_follow_from_them(self, password):
        assert is_easily_guessed(password)

    def test_is_what_one_knows_of_the_person(self):
        about = ["olga.quince@portico.example", "Olga Quince"]

        assert is_easily_guessed("olgaquince", about)
        assert is_easily_guessed("Portico2026")
        assert not is_easily_guessed("olgaquince", ["Sam Stranger"])

    @pytest.mark.parametrize(
        "password", ["correct horse battery", "lowercase only", "8305172964", "漢字漢字漢字かなカナ仮", "x" * 99 + "Y"]
    )
    def test_are_no_others_whatever_they_are_made_of(self, password):
        assert not is_easily_guessed(password)

    def test_none_that_the_portal_makes_is(self):
        from portal.accounts import new_password

        assert not any(is_easily_guessed(new_password()) for _ in range(50))
