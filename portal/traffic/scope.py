"""Whose calls a person is shown, as a value. `web/` makes it from memberships; all that reads traffic takes it."""

from dataclasses import dataclass, field, replace

from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlalchemy.orm import InstrumentedAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything, or the calls of some APIs together with the calls of some consumers; then narrowed.

    A scope that names nothing shows nothing. Narrowing to what the scope does not hold shows nothing, too.
    """

    everything: bool = False
    api_ids: frozenset[int] = frozenset()
    """APIs of which the person sees all calls."""
    consumer_ids: frozenset[int] = frozenset()
    """Consumers of which the person sees all calls, with keys, addresses and user agents."""
    api_id: int | None = field(default=None)
    consumer_id: int | None = field(default=None)
    key_id: int | None = field(default=None)
    operation: str | None = field(default=None)
    """Of `api_id`, by name; '' for calls that none describes. Only figures of an API know it, see `rollups.parts`."""

    def narrowed(
        self,
        *,
        api_id: int | None = None,
        consumer_id: int | None = None,
        key_id: int | None = None,
        operation: str | None = None,
    ) -> "Scope":
        """The calls of this scope that are also of this API, this consumer, this key, this operation."""
        return replace(
            self,
            api_id=self.api_id if api_id is None else api_id,
            consumer_id=self.consumer_id if consumer_id is None else consumer_id,
            key_id=self.key_id if key_id is None else key_id,
            operation=self.operation if operation is None else operation,
        )

    @property
    def is_whole(self) -> bool:
        """Whether every call of the installation belongs here."""
        narrowed = (self.api_id, self.consumer_id, self.key_id, self.operation)
        return self.everything and narrowed == (None, None, None, None)

    @property
    def needs_consumers(self) -> bool:
        """Whether the API alone does not tell if a call belongs here."""
        if self.consumer_id is not None:
            return True
        if self.everything or self.api_id in self.api_ids:
            return False
        return bool(self.consumer_ids)

    def holds(self, api_id: int | None, consumer_id: int | None, key_id: int | None) -> bool:
        """Whether a call of these belongs here."""
        asked = ((self.api_id, api_id), (self.consumer_id, consumer_id), (self.key_id, key_id))
        if any(wanted is not None and wanted != found for wanted, found in asked):
            return False
        if self.sees_all_of(consumer_id):
            return True
        # Asking for a key of which one may not know finds nothing, or asking would tell whose calls are whose.
        return api_id in self.api_ids and self.key_id is None

    def sees_all_of(self, consumer_id: int | None) -> bool:
        """Whether keys, addresses and user agents of this consumer's calls may be shown."""
        return self.everything or consumer_id in self.consumer_ids

    def of_api(self, api_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
        """For a table that knows APIs but no consumers. Wrong when `needs_consumers`."""
        seen = true() if self.everything else _one_of(api_id, self.api_ids)
        return seen if self.api_id is None else and_(seen, api_id == self.api_id)

    def of_both(
        self,
        api_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
        consumer_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    ) -> ColumnElement[bool]:
        seen: ColumnElement[bool] = true()
        if not self.everything:
            seen = or_(_one_of(api_id, self.api_ids), _one_of(consumer_id, self.consumer_ids))
        if self.api_id is not None:
            seen = and_(seen, api_id == self.api_id)
        if self.consumer_id is not None:
            seen = and_(seen, consumer_id == self.consumer_id)
        return seen


def _one_of(
    column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None], ids: frozenset[int]
) -> ColumnElement[bool]:
    return column.in_(sorted(ids)) if ids else false()
