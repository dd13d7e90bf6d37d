"""What narrows a table of the back office, as Flask-Admin's filters."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from flask_admin.contrib.sqla.filters import BaseSQLAFilter

from portal.web.forms import stripped


class Where(BaseSQLAFilter):  # type: ignore[misc]  # it comes without types
    """A filter that is a condition: `Where("Since", lambda day: Plan.created_at >= day, kind="date")`."""

    def __init__(
        self,
        name: str,
        condition: Callable[[Any], Any],
        *,
        choices: Mapping[str, str] | None = None,
        kind: str = "text",
    ) -> None:
        super().__init__(None, name, options=list(choices.items()) if choices else None)
        self.kind = kind
        self._condition = condition
        self._choices = choices

    def operation(self) -> str:
        return "is"

    def clean(self, value: str) -> Any:
        """Raises ValueError for what this filter cannot mean."""
        value = stripped(value)
        if self._choices is not None and value not in self._choices:
            raise ValueError(value)
        if self.kind == "date":
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        if self._choices is not None and set(self._choices) == {"1", "0"}:
            return value == "1"
        return value

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        return query.filter(self._condition(value))


YES_NO = {"1": "Yes", "0": "No"}


def is_true(name: str, column: Any) -> Where:
    return Where(name, lambda yes: column.is_(yes), choices=YES_NO)


def is_given(name: str, column: Any) -> Where:
    return Where(name, lambda yes: column.is_not(None) if yes else column.is_(None), choices=YES_NO)


def since(name: str, column: Any) -> Where:
    return Where(name, lambda day: column >= day, kind="date")


def one_of(name: str, column: Any, words: type[StrEnum]) -> Where:
    return Where(name, lambda word: column == words(word), choices={word: word for word in words})
