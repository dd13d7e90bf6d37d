import pytest

from portal.config import Config, WrongSetting
from portal.vault import Unreadable, Vault

OLD, NEW = "o" * 40, "n" * 40


class TestVault:
    def test_what_was_sealed_is_opened_and_is_not_to_be_seen(self):
        sealed = Vault([NEW]).seal(b"the upstream's password")

        assert b"password" not in sealed
        assert Vault([NEW]).open(sealed) == b"the upstream's password"

    def test_an_older_key_still_opens_and_renewing_needs_it_no_more(self):
        sealed = Vault([OLD]).seal(b"x")
        renewed = Vault([NEW, OLD]).renew(sealed)

        assert Vault([NEW, OLD]).open(sealed) == b"x"
        assert Vault([NEW]).open(renewed) == b"x"

    def test_what_no_key_opens_says_so(self):
        for sealed in (b"", b"noise", Vault([OLD]).seal(b"x")):
            with pytest.raises(Unreadable, match="PORTAL_ENCRYPTION_KEYS"):
                Vault([NEW]).open(sealed)
            with pytest.raises(Unreadable):
                Vault([NEW]).renew(sealed)

    def test_without_a_setting_the_key_is_made_once_and_only_its_owner_reads_it(self, tmp_path):
        config = Config(data_dir=tmp_path)
        sealed = Vault.of(config).seal(b"x")

        assert Vault.of(config).open(sealed) == b"x"
        assert (tmp_path / "encryption_keys").stat().st_mode & 0o077 == 0

    def test_the_setting_is_a_list_of_long_keys(self):
        assert Config.read({"PORTAL_ENCRYPTION_KEYS": f"{NEW}, {OLD}"}).encryption_keys == (NEW, OLD)
        with pytest.raises(WrongSetting, match="PORTAL_ENCRYPTION_KEYS must be keys of 32 characters") as wrong:
            Config.read({"PORTAL_ENCRYPTION_KEYS": "short"})
        assert "short" not in str(wrong.value)
