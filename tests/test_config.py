"""Settings: read once, checked once, and named when they are wrong."""

import os
import threading
from pathlib import Path

import pytest

from portal import create_app
from portal.config import Config, WrongSetting, kept_secret


class TestRead:
    def test_an_empty_environment_gives_the_defaults(self):
        config = Config.read({})

        assert (config.bind, config.port, config.gateway_port) == ("127.0.0.1", 8000, 8080)
        assert config.url == "http://127.0.0.1:8000"
        assert config.gateway_url == "http://localhost:8080"
        assert config.data_dir == Path.cwd() / "var"
        assert config.database_url == f"sqlite:///{config.data_dir}/portico.sqlite3"
        assert not config.upstream_loopback

    def test_an_empty_value_is_no_value(self):
        assert Config.read({"PORTAL_PORT": ""}).port == 8000

    def test_addresses_follow_what_is_bound(self):
        config = Config.read(
            {"PORTAL_BIND": "0.0.0.0", "PORTAL_PORT": "8001", "PORTAL_GATEWAY_BIND": "::1", "PORTAL_GATEWAY_PORT": "81"}
        )

        assert (config.url, config.gateway_url) == ("http://127.0.0.1:8001", "http://[::1]:81")

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("PORTAL_PORT", "0", "must be a port number from 1 to 65535"),
            ("PORTAL_PORT", "65536", "must be a port number from 1 to 65535"),
            ("PORTAL_GATEWAY_PORT", "http", "must be a port number from 1 to 65535"),
            ("PORTAL_BIND", "localhost", "must be an IP address"),
            ("PORTAL_URL", "portal.example.com", "must be http:// or https:// and a host"),
            ("PORTAL_URL", "https://portal.example.com/portal", "without a path"),
            ("PORTAL_SIGN_UP", "maybe", "must be 1 or 0"),
            ("PORTAL_WEB_WORKERS", "0", "must be a whole number, 1 or more"),
            ("PORTAL_TRUSTED_HOPS", "-1", "must be a whole number, 0 or more"),
            ("PORTAL_MAIL_FROM", "Portico", "must be one address"),
            ("PORTAL_MAIL_FROM", "a@b.example, c@d.example", "must be one address"),
            ("PORTAL_MAIL_FROM", "a@b.example\nBcc: c@d.example", "must be one address"),
            ("PORTAL_LOG_FORMAT", "xml", "must be one of text, json"),
            ("PORTAL_LOG_LEVEL", "info", "must be one of DEBUG"),
        ],
    )
    def test_a_wrong_value_stops_with_its_name(self, name, value, says):
        with pytest.raises(WrongSetting) as stopped:
            Config.read({name: value})

        assert str(stopped.value).startswith(f"{name} must be")
        assert says in str(stopped.value)
        assert f"(it is {value!r})" in str(stopped.value)

    @pytest.mark.parametrize(
        "value", ["mail.example.com", "http://u:hidden@mail.example.com", "smtp://u:hidden@", "smtp://u:hidden@m:x"]
    )
    def test_a_wrong_mail_server_is_named_without_its_password(self, value):
        with pytest.raises(WrongSetting, match="PORTAL_SMTP_URL must be smtp:// or smtps://") as stopped:
            Config.read({"PORTAL_SMTP_URL": value})

        assert "hidden" not in str(stopped.value)

    def test_mail_comes_from_the_host_of_the_portal(self):
        named = Config.read({"PORTAL_URL": "https://portal.example.com"})

        assert named.mail_from == "Portico <portico@portal.example.com>"
        assert Config.read({}).mail_from == "Portico <portico@localhost>"

    def test_a_name_that_does_not_exist_stops_with_its_name(self):
        with pytest.raises(WrongSetting, match="PORTAL_PROT is not a setting"):
            Config.read({"PORTAL_PROT": "8000", "PATH": "/bin"})

    def test_nothing_is_opened_before_a_wrong_setting_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PORTAL_DATA_DIR", str(tmp_path / "var"))
        monkeypatch.setenv("PORTAL_PORT", "no")

        with pytest.raises(WrongSetting):
            create_app()

        assert not (tmp_path / "var").exists()


class TestSecrets:
    def test_a_secret_may_stand_in_a_file(self, tmp_path):
        (tmp_path / "key").write_text("from a file\n")

        assert Config.read({"PORTAL_SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "from a file"

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        with pytest.raises(WrongSetting, match="PORTAL_SECRET_KEY_FILE cannot be read: No such file"):
            Config.read({"PORTAL_SECRET_KEY_FILE": str(tmp_path / "absent")})

    def test_its_representation_hides_them(self):
        config = Config.read({"PORTAL_SECRET_KEY": "hidden", "PORTAL_DATABASE_URL": "postgresql://u:hidden@db/x"})

        assert "hidden" not in repr(config)
        assert "port=8000" in repr(config)


class TestKeptSecret:
    def test_it_is_made_once_and_readable_by_its_owner_only(self, tmp_path):
        first = kept_secret(tmp_path / "var", "secret_key")

        assert kept_secret(tmp_path / "var", "secret_key") == first
        assert len(first) >= 43
        assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
        assert os.listdir(tmp_path / "var") == ["secret_key"]

    def test_first_users_at_the_same_time_agree(self, tmp_path):
        found: list[str] = []
        start = threading.Barrier(8)

        def ask() -> None:
            start.wait()
            found.append(kept_secret(tmp_path, "secret_key"))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(found) == 8
        assert len(set(found)) == 1
