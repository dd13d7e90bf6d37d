"""The portal answers under its own name only, and writes no other into a page, header or mail."""

import shutil

import pytest

from portal import create_app
from portal.config import Config
from tests.web.attacks.pages import browser, routes

FOREIGN = [
    "evil.example",
    "evil.example:80",
    "localhost.evil.example",
    "localhost@evil.example",
    "localhost:80@evil.example",
    "evil.example#localhost",
    "xn--evil.example",
    "[::ffff:127.0.0.1%25evil]",
    "127.0.0.1.evil.example",
]


class TestHostHeader:
    @pytest.mark.parametrize("host", FOREIGN)
    def test_of_others_is_refused_by_every_route(self, world, host):
        client = browser(world, "administrator")
        for method in ("GET", "POST"):
            for rule, address in routes(world, method):
                with client.open(address, method=method, headers={"Host": host}) as answer:
                    assert answer.status_code == 400, f"{method} {rule}"
                    assert "evil" not in answer.get_data(as_text=True)
                    assert "evil" not in str(answer.headers)

    def test_what_a_proxy_may_say_is_not_believed_from_anybody(self, world):
        client = browser(world, "administrator")
        said = {
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Server": "evil.example",
            "X-Original-URL": "/evil.example",
            "X-Rewrite-URL": "/evil.example",
            "Forwarded": "host=evil.example",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/evil.example",
        }
        for rule, address in routes(world, "GET"):
            with client.get(address, headers=said) as answer:
                assert answer.status_code < 400 or answer.status_code in {404, 410}, rule
                assert "evil" not in answer.get_data(as_text=True), rule
                assert "evil" not in str(answer.headers), rule


class TestBehindAProxy:
    @pytest.fixture
    def client(self, tmp_path, empty_database):
        config = Config(data_dir=tmp_path / "var", url="https://portal.example.com", trusted_hops=1)
        config.data_dir.mkdir(mode=0o700)
        shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
        client = create_app(config, overrides={"TESTING": True}).test_client()
        client.environ_base["HTTP_ACCEPT"] = "text/html"
        return client

    def test_its_word_about_the_host_counts(self, client):
        said = {"Host": "10.0.0.1", "X-Forwarded-Host": "portal.example.com", "X-Forwarded-Proto": "https"}

        assert client.get("/sign-in", headers=said).status_code == 200

    @pytest.mark.parametrize(
        "forwarded", ["evil.example", "evil.example, evil.example", "portal.example.com, evil.example"]
    )
    def test_a_host_of_others_is_refused_even_so(self, client, forwarded):
        answer = client.get("/sign-in", headers={"Host": "portal.example.com", "X-Forwarded-Host": forwarded})

        assert answer.status_code == 400
        assert "evil" not in answer.text

    def test_only_the_last_word_is_its_own(self, client):
        said = {"Host": "10.0.0.1", "X-Forwarded-Host": "evil.example, portal.example.com"}
        answer = client.get("/sign-in", headers=said)

        assert answer.status_code == 200
        assert "evil" not in answer.text
