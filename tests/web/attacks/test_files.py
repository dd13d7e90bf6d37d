"""What stands beside the pages is served to nobody, and what the portal writes is its owner's alone."""

import os
import shutil
import stat

import pytest

from portal import create_app
from portal.config import Config
from portal.vault import Vault
from tests.web.attacks.pages import browser


class TestAddresses:
    @pytest.mark.parametrize(
        "path",
        [
            "/.git/config",
            "/static/.git/config",
            "/static/../wsgi.py",
            "/static/%2e%2e/wsgi.py",
            "/static/..%2fwsgi.py",
            "/static/..%5cwsgi.py",
            "/static//etc/passwd",
            "/static/%2fetc%2fpasswd",
            "/static/vendor/../../wsgi.py",
            "/static/",
            "/static",
            "/templates/base.html",
            "/requirements.txt",
            "/var/secret_key",
            "/gateway/files/../secret_key",
            "/gateway/files/%2e%2e/secret_key",
            "/gateway/files//etc/passwd",
            "/gateway/files/data/../../secret_key",
        ],
    )
    def test_of_other_files_lead_to_nothing(self, world, path):
        answer = browser(world, "administrator").get(path, follow_redirects=True)

        assert answer.status_code == 404
        assert "create_app" not in answer.text


class TestModes:
    def test_even_where_new_files_are_usually_for_everybody(self, tmp_path, empty_database):
        usual = os.umask(0o022)
        try:
            config = Config(data_dir=tmp_path / "var")
            create_app(config, overrides={"TESTING": True})
            shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
            Vault.of(config).seal(b"x")
        finally:
            os.umask(usual)

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.data_dir.iterdir()}
        assert stat.S_IMODE(config.data_dir.stat().st_mode) == 0o700
        assert (modes["secret_key"], modes["encryption_keys"]) == (0o600, 0o600)
