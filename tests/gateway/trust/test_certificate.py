"""The gateway's certificate: what is taken, what is refused and in which words, and how a new one comes into use."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal import gateway, registry
from portal.config import Config, WrongSetting
from portal.gateway import tls
from portal.gateway.certificate import Certificate, Files, Unusable, judge
from portal.gateway.claims import CannotStart
from portal.gateway.ir import Place
from portal.gateway.node import Node
from portal.gateway.supervisor import NullEnvoy
from portal.run import CannotRun, Start, _check_certificate, _say_ready
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, wait_for
from tests.nodes import StartNode, config_in

AUTHORITY = trustme.CA()
NAME = "api.example.com"
LATER = datetime(2200, 1, 1, tzinfo=UTC)


def pair(ends: datetime = LATER) -> tuple[bytes, bytes]:
    """Chain and key, new in every call."""
    made = AUTHORITY.issue_cert(NAME, not_after=ends)
    return b"".join(each.bytes() for each in made.cert_chain_pems), made.private_key_pem.bytes()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """As certbot keeps them: links to the newest of several."""
    found = Files(tmp_path / "live" / "fullchain.pem", tmp_path / "live" / "privkey.pem")
    found.cert.parent.mkdir()
    replace(found, pair())
    return found


def replace(files: Files, new: tuple[bytes, bytes]) -> None:
    archive = files.cert.parent.parent / "archive"
    archive.mkdir(exist_ok=True)
    number = len(list(archive.iterdir()))
    for link, content in zip((files.cert, files.key), new, strict=True):
        target = archive / f"{number}-{link.name}"
        target.write_bytes(content)
        draft = link.with_suffix(".new")
        draft.symlink_to(target)
        draft.replace(link)


class TestJudge:
    def test_a_pair_that_fits_is_good_until_the_first_of_its_chain_ends(self) -> None:
        end = datetime(2101, 2, 3, tzinfo=UTC)
        assert judge(*pair(end)).ends == end

    def test_the_key_is_not_in_its_representation(self) -> None:
        assert "PRIVATE" not in repr(judge(*pair()))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda chain, key: (b"", key), "CERT holds no certificates in PEM form"),
            (lambda chain, key: (b"hello", key), "CERT holds no certificates in PEM form"),
            (lambda chain, key: (key, key), "CERT holds no certificates in PEM form"),
            (lambda chain, key: (chain, b""), "KEY holds no private key in PEM form"),
            (lambda chain, key: (chain, chain), "KEY holds no private key in PEM form"),
            (lambda chain, key: (chain, key[:-90]), "KEY holds no private key in PEM form"),
            (lambda chain, key: (chain, pair()[1]), "KEY does not belong to the first certificate"),
            (lambda chain, key: (chain, locked()), "KEY is locked with a password"),
            (lambda chain, key: (AUTHORITY.cert_pem.bytes() + chain, key), "KEY does not belong to the first"),
        ],
    )
    def test_another_pair_is_refused_by_the_name_of_the_setting(
        self, change: Callable[[bytes, bytes], tuple[bytes, bytes]], says: str
    ) -> None:
        with pytest.raises(Unusable) as refused:
            judge(*change(*pair()))

        assert str(refused.value).startswith(f"The file of PORTAL_GATEWAY_TLS_{says}")
        assert "BEGIN" not in str(refused.value)


def locked() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    assert key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))


class TestSettings:
    @pytest.mark.parametrize(("given", "missing"), [("CERT", "KEY"), ("KEY", "CERT")])
    def test_one_without_the_other_stops_the_start(self, given: str, missing: str) -> None:
        with pytest.raises(WrongSetting, match=f"^PORTAL_GATEWAY_TLS_{missing} must be set too"):
            Config.read({f"PORTAL_GATEWAY_TLS_{given}": "/somewhere.pem"})

    def test_with_both_clients_are_told_https(self) -> None:
        config = Config.read({"PORTAL_GATEWAY_TLS_CERT": "/a.pem", "PORTAL_GATEWAY_TLS_KEY": "/b.pem"})

        assert config.gateway_url == "https://localhost:8080"

    @pytest.mark.parametrize("setting", ["CERT", "KEY"])
    def test_a_file_that_is_not_there_stops_the_start_of_everything_and_is_named(
        self, files: Files, setting: str
    ) -> None:
        config = Config(gateway_tls_cert=str(files.cert), gateway_tls_key=str(files.key))
        _check_certificate(config)
        (files.cert if setting == "CERT" else files.key).unlink()

        with pytest.raises(CannotRun, match=f"PORTAL_GATEWAY_TLS_{setting} cannot be read: No such file"):
            _check_certificate(config)

    def test_what_listens_in_clear_is_told(self) -> None:
        secure = {"gateway_tls_cert": "/a.pem", "gateway_tls_key": "/b.pem"}

        assert Config().in_clear == Config(bind="::1", gateway_bind="127.0.0.2").in_clear == ()
        assert Config(gateway_bind="0.0.0.0", **secure).in_clear == ()
        (gateway,) = Config(gateway_bind="::", gateway_port=81).in_clear
        (portal,) = Config(bind="192.0.2.1", **secure).in_clear
        assert gateway.startswith("The gateway listens on :: port 81 in clear")
        assert portal.startswith("The portal listens on 192.0.2.1 port 8000 in clear")

    def test_the_start_tells_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        _say_ready(Config(gateway_bind="0.0.0.0"), Start(None))
        assert "Warning: The gateway listens on 0.0.0.0 port 8080 in clear" in capsys.readouterr().out

        _say_ready(Config(), Start(None))
        assert "Warning" not in capsys.readouterr().out


class TestRenew:
    """Without an Envoy: what is written, and what is said."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path / "gateway", tls=True)

    def test_only_the_owner_may_read_what_is_written(self, place: Place, files: Files) -> None:
        Certificate(place, files, NullEnvoy()).prepare()

        assert (place.directory / tls.FILE).stat().st_mode & 0o777 == 0o600
        assert list((place.directory / "new").iterdir()) == []

    def test_unchanged_files_are_not_written_again(self, place: Place, files: Files) -> None:
        certificate = Certificate(place, files, NullEnvoy())
        certificate.prepare()
        before = (place.directory / tls.FILE).stat().st_ino

        assert not certificate.renew()
        assert (place.directory / tls.FILE).stat().st_ino == before

    def test_a_start_with_a_broken_pair_is_refused(self, place: Place, files: Files) -> None:
        files.key.unlink()

        with pytest.raises(CannotStart, match="PORTAL_GATEWAY_TLS_KEY cannot be read"):
            Certificate(place, files, NullEnvoy()).prepare()

    def test_a_broken_pair_is_said_and_forgotten_when_it_is_mended(self, place: Place, files: Files) -> None:
        certificate = Certificate(place, files, NullEnvoy())
        certificate.prepare()
        before = (place.directory / tls.FILE).read_bytes()

        replace(files, (pair()[0], pair()[1]))
        assert not certificate.renew()
        assert not certificate.renew()
        (said,) = certificate.problems()
        assert said.startswith("The gateway keeps its former certificate. The file of PORTAL_GATEWAY_TLS_KEY does not")
        assert (place.directory / tls.FILE).read_bytes() == before

        replace(files, pair())
        assert certificate.renew()
        assert certificate.problems() == []

    def test_files_that_were_put_back_are_no_problem_any_more(self, place: Place, files: Files) -> None:
        certificate = Certificate(place, files, NullEnvoy())
        certificate.prepare()
        first = (files.cert.read_bytes(), files.key.read_bytes())
        files.key.unlink()
        certificate.renew()
        assert "cannot be read" in certificate.problems()[0]

        replace(files, first)
        certificate.renew()

        assert certificate.problems() == []

    def test_an_expired_one_is_not_taken(self, place: Place, files: Files) -> None:
        certificate = Certificate(place, files, NullEnvoy())
        certificate.prepare()

        replace(files, pair(datetime(2020, 5, 6, tzinfo=UTC)))

        assert not certificate.renew()
        assert "PORTAL_GATEWAY_TLS_CERT expired on 06 May 2020" in certificate.problems()[0]

    @pytest.mark.parametrize(
        ("left", "says"),
        [
            (timedelta(days=21, minutes=1), None),
            (timedelta(days=20, hours=23), "expires in 20 days"),
            (timedelta(days=1, hours=1), "expires in 1 day."),
            (timedelta(hours=2), "expires within a day"),
            (timedelta(seconds=-1), "has expired"),
        ],
    )
    def test_its_end_is_announced(self, place: Place, files: Files, left: timedelta, says: str | None) -> None:
        certificate = Certificate(place, files, NullEnvoy(), now=lambda: LATER - left)
        certificate.prepare()

        said = certificate.problems()

        assert len(said) == (says is not None)
        assert says is None or says in said[0]


@pytest.fixture
def config(node_config: Config, files: Files) -> Config:
    return config_in(node_config.data_dir.parent, gateway_tls_cert=str(files.cert), gateway_tls_key=str(files.key))


@pytest.fixture
def node(start_node: StartNode) -> Node:
    """With a real Envoy and all its loops."""
    return start_node()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running.upstream() as server:
        yield server


def connected(config: Config) -> ssl.SSLSocket:
    """A client that verifies, and would rather speak HTTP/2."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", config.gateway_port), timeout=10)
    return context.wrap_socket(plain, server_hostname=NAME)


def ask(connection: ssl.SSLSocket, path: str, key: str) -> int:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nX-API-Key: {key}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while length > 0:
        length -= len(connection.recv(length))
    return int(head.split(b" ")[1])


def shown(config: Config) -> bytes | None:
    """The certificate that a new connection sees."""
    with closing(connected(config)) as connection:
        return connection.getpeercert(binary_form=True)


def first_of(chain: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(chain.decode().partition("-----END CERTIFICATE-----")[0] + ssl.PEM_FOOTER)


@pytest.mark.envoy
@pytest.mark.usefixtures("node")
class TestServed:
    def test_a_client_that_verifies_is_served_over_http_1_1(self, config: Config, files: Files) -> None:
        with closing(connected(config)) as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
            assert connection.version() == "TLSv1.3"
            assert ask(connection, "/_portico/health", "none") == 200
        assert shown(config) == first_of(files.cert.read_bytes())

    def test_nothing_is_said_in_clear(self, config: Config) -> None:
        assert running.status_of(config.gateway_port, "/_portico/health") == 0

    def test_older_than_tls_1_2_is_refused(self, config: Config) -> None:
        context = ssl.create_default_context()
        AUTHORITY.configure_trust(context)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        plain = socket.create_connection(("127.0.0.1", config.gateway_port), timeout=10)

        with closing(plain), pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            context.wrap_socket(plain, server_hostname=NAME)

    def test_upstreams_are_told_https(
        self, config: Config, engine: Engine, session: Session, upstream: Upstream
    ) -> None:
        path, key = published(session, upstream, per_minute=100)
        wait_for(lambda: running_status(config, path, key) == 200, "the API answers")

        with closing(connected(config)) as connection:
            close = "Connection: close\r\nX-Forwarded-Proto: http"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nX-API-Key: {key}\r\n{close}\r\n\r\n".encode())
            came = b"".join(iter(lambda: connection.recv(65536), b""))

        assert b'["x-forwarded-proto", "https"]' in came

    def test_a_new_certificate_comes_into_use_and_nothing_else_changes(
        self, config: Config, engine: Engine, session: Session, upstream: Upstream, files: Files
    ) -> None:
        path, key = published(session, upstream, per_minute=3)
        old = connected(config)
        wait_for(lambda: ask(old, path, key) == 200, "the API answers")
        assert [ask(old, path, key) for _ in range(3)] == [200, 200, 429]

        renewed = pair()
        replace(files, renewed)
        wait_for(lambda: shown(config) == first_of(renewed[0]), "new connections see the new certificate")

        assert ask(old, path, key) == 429
        assert old.getpeercert(binary_form=True) != first_of(renewed[0])
        with closing(connected(config)) as new:
            assert ask(new, path, key) == 429
            assert ask(new, "/_portico/health", "none") == 200
        old.close()

    def test_a_broken_pair_changes_nothing_and_is_on_the_page(
        self, config: Config, engine: Engine, files: Files
    ) -> None:
        before = shown(config)
        replace(files, (pair()[0], pair()[1]))

        def problems() -> list[str]:
            with Session(engine) as session:
                return [each.sentence for node in gateway.nodes(session) for each in node.problems]

        (said,) = wait_for(problems, "the node says so")
        assert "PORTAL_GATEWAY_TLS_KEY does not belong to the first certificate" in said
        assert shown(config) == before

        replace(files, pair())
        wait_for(lambda: not problems(), "all is well again")
        assert shown(config) != before


def running_status(config: Config, path: str, key: str) -> int:
    with closing(connected(config)) as connection:
        return ask(connection, path, key)


def published(session: Session, server: Upstream, **limits: int) -> tuple[str, str]:
    """Path and key of a live API, committed."""
    team = factories.team(session)
    plan = factories.plan(session, team=team, per_second=None, **limits)
    upstream = {"targets": [{"url": f"http://localhost:{server.port}"}]}
    api = factories.api(session, team=team, live=True, plans=[plan], upstream=upstream)
    consumer = factories.consumer(session)
    registry.subscribe(session, consumer, api, plan, by=None)
    _, token = factories.key(session, consumer)
    session.commit()
    return f"{api.draft['path']}/echo", token.value


def test_the_private_key_is_readable_by_nobody_else_wherever_it_is_kept(
    config: Config, engine: Engine, files: Files
) -> None:
    node = Node(config, engine, NullEnvoy())
    node.start()
    node.stop()
    secret = files.key.read_bytes().splitlines()[1]

    holders = [path for path in config.data_dir.rglob("*") if path.is_file() and secret in path.read_bytes()]

    assert [path.relative_to(config.gateway_dir).as_posix() for path in holders] == [tls.FILE]
    assert os.stat(holders[0]).st_mode & 0o777 == 0o600
