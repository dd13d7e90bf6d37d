"""What plans say of single operations, and which operations there are, from the database. Part of `read.py`."""

from sqlalchemy import Connection, select

from portal.gateway import ir
from portal.registry.models import Api, Operation, PlanOperation, Release

Limits = tuple[ir.OperationLimit, ...]
Described = dict[int, tuple[ir.Operation, ...]]
"""By the id of an API, what its live release describes."""


class Operations:
    """Remembers what OpenAPI documents describe, since those never change, as long as it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[ir.Operation, ...]] = {}
        """By the hash of the document."""

    def read(self, connection: Connection) -> tuple[Limits, Described]:
        """One statement where no plan limits an operation. A live release without a document describes nothing."""
        limits = tuple(
            ir.OperationLimit(*row)
            for row in connection.execute(
                select(
                    PlanOperation.id,
                    PlanOperation.plan_id,
                    PlanOperation.api_id,
                    PlanOperation.operation,
                    PlanOperation.per_second,
                    PlanOperation.per_second_burst,
                    PlanOperation.per_minute,
                    PlanOperation.per_minute_burst,
                )
            )
        )
        if not limits:
            self._known = {}
            return (), {}
        named = connection.execute(
            select(Api.id, Release.document["openapi"].as_string())
            .join(Release, Release.id == Api.live_release_id)
            .where(Api.id.in_(select(PlanOperation.api_id)))
        )
        digests = {api_id: digest for api_id, digest in named if digest}
        self._known = {
            digest: self._known.get(digest) or _described(connection, digest) for digest in set(digests.values())
        }
        return limits, {api_id: self._known[digest] for api_id, digest in digests.items()}


def _described(connection: Connection, digest: str) -> tuple[ir.Operation, ...]:
    rows = connection.execute(
        select(Operation.method, Operation.path, Operation.name)
        .where(Operation.sha256 == digest)
        .order_by(Operation.position)
    )
    return tuple(ir.Operation(*row) for row in rows)
