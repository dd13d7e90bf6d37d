"""Calls for tests of pages: lines as Envoy writes them, stored by the real ingest."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from portal.registry.models import Api, Consumer, Key
from portal.traffic.ingest import Ingest
from portal.traffic.models import microseconds
from tests.traffic import lines

_n = count(1)


def store(engine: Engine, folder: Path, *written: bytes) -> None:
    """Everything that pages show of calls comes through here, in the order of the lines."""
    log = folder / "access.log"
    with log.open("ab") as file:
        file.write(b"".join(written))
    Ingest(engine, node="node-1", log_path=log).drain()


def line(
    api: Api | None = None,
    consumer: Consumer | None = None,
    key: Key | None = None,
    *,
    ago: timedelta = timedelta(minutes=5),
    **fields: Any,
) -> bytes:
    """A call that was answered with 200, unless said otherwise."""
    at = microseconds(datetime.now(UTC) - ago) + next(_n)
    known: dict[str, Any] = {"id": lines.request_id(at, next(_n))}
    if api is not None:
        known |= {"r": f"{api.id}|1|h|x-api-key", "p": f"/{api.slug}/{api.version}/things"}
    if consumer is not None:
        known["c"] = consumer.public_id
    if key is not None:
        known["k"] = key.public_id
    return lines.line(at, **known | fields)


REFUSED: dict[str, Any] = {"up": None, "us": None, "d": "lua_response", "n": 0}
"""What the gateway answers by itself."""


def id_of(written: bytes) -> str:
    return written.partition(b'"id":"')[2][:36].decode()
