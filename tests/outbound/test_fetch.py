"""Reading an address that somebody typed: what comes back, what is refused, and that every limit holds."""

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.outbound.addresses import AddressRules, Listener
from portal.outbound.fetch import Fetched, NotFetched, fetch

LOOPBACK = AddressRules(loopback=True)
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers each path with what the test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[Any], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = outer.answers.get(self.path, (404, {}, b"nothing"))
                if callable(answer):
                    answer(self.wfile)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=lambda: self.server.serve_forever(0.01), daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def get(url: str, **more: Any) -> Fetched:
    return fetch(url, **{"rules": LOOPBACK, "most_bytes": 1_000_000, "seconds": 20.0} | more)


def refusal(url: str, **more: Any) -> str:
    with pytest.raises(NotFetched) as refused:
        get(url, **more)
    return str(refused.value)


class TestFetch:
    def test_bytes_and_their_type_come_back(self, server):
        server.answers["/a.yaml"] = 200, {"Content-Type": "Application/YAML; charset=utf-8"}, b"openapi: 3.1.0\n"

        assert get(server.url("/a.yaml")) == Fetched("", "application/yaml", b"openapi: 3.1.0\n")

    def test_nothing_of_the_machine_is_sent(self, server, monkeypatch, tmp_path):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        server.answers["/"] = 200, {"Set-Cookie": "a=b"}, b"x"

        get(server.url("/"), accept="application/json")

        (_, headers), *_ = server.asked
        assert headers == {
            "host": f"127.0.0.1:{server.port}",
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": "Portico",
        }

    def test_redirects_are_followed_to_where_they_lead(self, server):
        server.answers["/old"] = 302, {"Location": "/new?signature=secret#part"}, b""
        server.answers["/new?signature=secret"] = 200, {}, b"there"

        assert get(server.url("/old")) == Fetched(server.url("/new"), "", b"there")

    def test_redirect_that_only_adds_a_query_leads_nowhere_else(self, server):
        server.answers["/a"] = 302, {"Location": "/a?session=1"}, b""
        server.answers["/a?session=1"] = 200, {}, b"there"

        assert get(server.url("/a")).led_to == ""

    def test_circles_end(self, server):
        server.answers["/a"] = 302, {"Location": "/a"}, b""

        assert "leads on to other addresses more than 5 times" in refusal(server.url("/a"))
        assert len(server.asked) == 6

    def test_packed_answers_are_unpacked(self, server):
        server.answers["/"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"openapi" * 99)

        assert get(server.url("/")).data == b"openapi" * 99

    def test_name_is_asked_once_and_its_address_used(self, server):
        """A name that means another address the second time gets nobody past the rules."""
        server.answers["/"] = 200, {}, b"x"
        meanings = iter([["127.0.0.1"], ["127.0.0.9"]])

        get(server.url("/", "rebind.example"), lookup=lambda _host: next(meanings))

        assert server.asked[0][1]["host"] == f"rebind.example:{server.port}"
        assert next(meanings) == ["127.0.0.9"]

    def test_second_address_is_tried_where_the_first_is_dead(self, server):
        server.answers["/"] = 200, {}, b"x"

        assert get(server.url("/", "two.example"), lookup=lambda _host: ["127.0.0.77", "127.0.0.1"]).data == b"x"


class TestRefusals:
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("ftp://a.example/x", "does not begin with http:// or https://"),
            ("file:///etc/passwd", "does not begin with http:// or https://"),
            ("openapi.json", "does not begin with http:// or https://"),
            ("http:///x", "is not a whole address"),
            ("http://a b.example/", "is not a whole address"),
            ("http://[::1/", "its port or brackets are wrong"),
            ("http://a.example:99999/", "its port or brackets are wrong"),
            ("http://" + "me:hush" + "@a.example/", "Leave user name and password out"),
        ],
    )
    def test_what_is_no_address_is_told(self, url, sentence):
        assert sentence in refusal(url)

    def test_addresses_are_judged(self):
        assert "127.0.0.1 is this machine itself" in refusal("http://127.0.0.1:1/", rules=AddressRules())
        assert "which is never allowed" in refusal("http://169.254.169.254/latest/meta-data")
        private = refusal(
            "http://inside.example/", rules=AddressRules(private=False), lookup=lambda _host: ["10.0.0.7"]
        )
        assert private.startswith("inside.example leads to a forbidden address: 10.0.0.7 is in a private network")

    def test_every_redirect_is_judged(self, server):
        server.answers["/"] = 302, {"Location": "http://169.254.169.254/"}, b""

        assert "169.254.169.254 is a cloud's metadata service" in refusal(server.url("/"))

    def test_redirect_to_the_own_listener_is_refused(self, server):
        server.answers["/"] = 302, {"Location": "http://127.0.0.1:8000/"}, b""

        rules = AddressRules(loopback=True, own=(Listener("127.0.0.1", 8000),))
        assert "where this installation itself listens" in refusal(server.url("/"), rules=rules)

    def test_redirect_to_another_scheme_is_refused(self, server):
        server.answers["/"] = 302, {"Location": "file:///etc/passwd"}, b""

        assert "does not begin with http" in refusal(server.url("/"))

    def test_one_forbidden_meaning_of_a_name_is_enough(self):
        said = refusal("http://both.example/", lookup=lambda _host: ["127.0.0.1", "169.254.1.1"])

        assert "169.254.1.1 is link-local" in said

    def test_unknown_names_are_told(self):
        def lookup(_host: str) -> list[str]:
            raise OSError(-2, "Name or service not known")

        assert refusal("http://nowhere.example/", lookup=lookup).startswith("nowhere.example does not resolve")

    def test_nobody_listens(self):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            said = refusal(f"http://127.0.0.1:{held.getsockname()[1]}/a?token=hush")

        assert "cannot be fetched: Connection refused" in said
        assert "hush" not in said

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [
            (404, "has no document"),
            (401, "wants to know who asks"),
            (503, "has a fault"),
            (429, "fewer"),
            (304, "nothing"),
        ],
    )
    def test_other_answers_are_told(self, server, status, sentence):
        server.answers["/"] = status, {}, b""

        said = refusal(server.url("/"))
        assert f"answers with status {status}" in said
        assert sentence in said

    def test_what_is_not_http_is_told(self, server):
        server.answers["/"] = lambda file: file.write(b"SSH-2.0\r\n\r\n")

        assert "cannot be fetched" in refusal(server.url("/"))

    def test_what_is_no_tls_is_told(self, server):
        assert "cannot be fetched: [SSL" in refusal(f"https://127.0.0.1:{server.port}/")


class TestTLS:
    """Certificates are checked for the name that was asked for, though an address is connected to."""

    @pytest.fixture
    def port(self, tmp_path, monkeypatch) -> Iterator[int]:
        certificate, key = self.made("pets.example")
        (tmp_path / "cert.pem").write_bytes(certificate)
        (tmp_path / "key.pem").write_bytes(key)
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "cert.pem"))
        server = Server()
        server.answers["/"] = 200, {}, b"x"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        yield server.port
        server.server.shutdown()
        server.server.server_close()

    def made(self, name: str) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        kind = serialization.Encoding.PEM
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return certificate.public_bytes(kind), key.private_bytes(kind, *plain)

    def test_name_that_fits(self, port):
        assert get(f"https://pets.example:{port}/", lookup=lambda _host: ["127.0.0.1"]).data == b"x"

    def test_name_that_does_not_fit(self, port):
        said = refusal(f"https://cats.example:{port}/", lookup=lambda _host: ["127.0.0.1"])

        assert said.startswith("The TLS certificate of cats.example is not one that can be trusted: Hostname mismatch")


class TestLimits:
    def test_size(self, server):
        server.answers["/"] = 200, {}, b"x" * 1_001

        assert "has more than" in refusal(server.url("/"), most_bytes=1_000)
        server.answers["/"] = 200, {}, b"x" * 1_000
        assert len(get(server.url("/"), most_bytes=1_000).data) == 1_000

    def test_bomb_is_counted_unpacked(self, server):
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = b"".join(bomb.compress(bytes(1_000_000)) for _ in range(200)) + bomb.flush()
        assert len(packed) < 300_000
        server.answers["/"] = 200, {"Content-Encoding": "gzip"}, packed

        assert "has more than 1 MB" in refusal(server.url("/"))

    def test_end_in_the_middle_is_told(self, server):
        server.answers["/"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"openapi" * 99)[:-9]
        assert "cannot be fetched" in refusal(server.url("/"))
        server.answers["/"] = 200, {"Content-Encoding": "br"}, b"x"
        assert "in the encoding br" in refusal(server.url("/"))

    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
    def test_time_though_a_byte_comes_now_and_then(self, server, start):
        ended = threading.Event()

        def drip(file: Any) -> None:
            file.write(start)
            try:
                while True:
                    file.write(b"x")
                    file.flush()
                    time.sleep(0.02)  # the server's own slowness, which is what is tried
            except OSError:
                ended.set()

        server.answers["/"] = drip

        said = refusal(server.url("/"), seconds=0.5)

        assert "did not answer to the end within 0.5 s" in said
        assert ended.wait(20)

    def test_time_of_a_silent_handshake(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            said = refusal(f"https://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.3)

        assert "did not answer to the end within 0.3 s" in said or "does not answer" in said
