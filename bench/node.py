"""A whole installation without its pages: database, node process, Envoy, backend."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from bench import load, machine
from bench.load import Server
from bench.population import Population, Right, database, fill
from portal.config import Config
from portal.gateway.admin import Admin
from portal.gateway.ir import Place
from portal.gateway.supervisor import Envoy

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Installation:
    engine: Engine
    rights: list[Right]
    backend: Server
    gateway: Server
    admin: Admin


@contextlib.contextmanager
def installation(folder: Path, population: Population, *, workers: int = 1) -> Iterator[Installation]:
    """Running and answering; ended with its Envoy. Processes may use every core, as they do outside of a bench."""
    config = Config(
        data_dir=folder / "var",
        gateway_port=machine.free_port(),
        gateway_workers=workers,
        node_name="bench",
        upstream_loopback=True,
    )
    place = Place(config.gateway_dir, port=config.gateway_port, workers=workers)
    engine = database(config)
    cores = sorted(os.sched_getaffinity(0))
    with load.backend(folder, core=cores[-1]) as backend:
        rights = fill(engine, population, upstream=f"http://127.0.0.1:{backend.port}")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
            "PORTAL_DATA_DIR": str(config.data_dir),
            "PORTAL_GATEWAY_PORT": str(config.gateway_port),
            "PORTAL_GATEWAY_WORKERS": str(workers),
            "PORTAL_NODE_NAME": config.node_name,
            "PORTAL_UPSTREAM_LOOPBACK": "1",
        }
        argv = [sys.executable, "-m", "flask", "--app", "wsgi", "gateway", "run"]
        envoy = Envoy(place)
        try:
            with machine.running(argv, log=folder / "node.log", environ=environ, ready=envoy.answers, cwd=_ROOT):
                gateway = Server("gateway", int((place.directory / "envoy.pid").read_text()), place.port)
                yield Installation(engine, rights, backend, gateway, envoy.admin)
        finally:
            envoy.stop(0.0)  # a node that was killed leaves it behind
            engine.dispose()
