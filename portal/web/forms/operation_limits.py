"""The rows of a plan's form that limit operations: as many as were sent, or as many as there are."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from wtforms import Field, StringField

from portal.errors import Invalid
from portal.registry.operation_limits import MOST_OPERATIONS, NUMBERS
from portal.web.forms import NumberField, squeeze
from portal.web.forms.plans import PlanForm

LISTED = "operations_listed"
"""Sent along with the rows, also when there are none: what is sent without it speaks of no operation."""
_PARTS = ("operation", *NUMBERS)
_ROW = re.compile(rf"operation_(\d{{1,3}})_(?:{'|'.join(_PARTS)})")
_LABELS = dict(zip(NUMBERS, ("Calls per second", "Burst a second", "Calls per minute", "Burst a minute"), strict=True))

Row = Mapping[str, Any]
"""`operation` as one types it, and the numbers."""


class OperationsForm(PlanForm):
    rows: int
    was_reshaped: bool
    """Whether "Limit an operation" or "Remove" has sent the form, as `operations=add` and `operations=<row>`."""

    @property
    def operation_rows(self) -> list[tuple[Field, list[Field]]]:
        """The operation and the numbers of each row."""
        return [
            (self[f"operation_{n}_operation"], [self[f"operation_{n}_{name}"] for name in NUMBERS])
            for n in range(self.rows)
        ]

    @property
    def typed(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Number of the row, operation and numbers; rows that were left empty are none."""
        found = [
            (n, operation.data or "", {name: field.data for name, field in zip(NUMBERS, numbers, strict=True)})
            for n, (operation, numbers) in enumerate(self.operation_rows)
        ]
        return [each for each in found if each[1] or any(number is not None for number in each[2].values())]

    def in_rows(self, error: Invalid) -> Invalid:
        """What the domain says of the limits that were typed, by the numbers of their rows."""
        rows = [n for n, _, _ in self.typed]

        def place(name: str) -> str:
            found = re.fullmatch(r"operations\.(\d+)\.(\w+)", name)
            return f"operations.{rows[int(found[1])]}.{found[2]}" if found else name

        return Invalid({place(name): sentence for name, sentence in error.fields.items()})


def with_operations(stored: Sequence[Row], obj: Any) -> OperationsForm:
    """The form of a plan. `stored` are its rows, `obj` is the plan, both for a page that was not sent yet."""
    attributes: dict[str, Any] = {"was_reshaped": False}
    given: dict[str, Any] = {}
    if request.method == "POST":
        rows, sent = _reshaped(request.form, stored)
        attributes["was_reshaped"] = bool(request.form.get("operations"))
        given["formdata"] = sent
    else:
        rows = len(stored)
        given["obj"] = obj
        given["data"] = {f"operation_{n}_{part}": row[part] for n, row in enumerate(stored) for part in _PARTS}
    attributes["rows"] = rows
    for n in range(rows):
        nth = f" {n + 1}" if rows > 1 else ""
        attributes[f"operation_{n}_operation"] = StringField(f"Operation{nth}", filters=[squeeze])
        for name in NUMBERS:
            attributes[f"operation_{n}_{name}"] = NumberField(f"{_LABELS[name]}{nth}", whole=True)
    attributes["places"] = dict(PlanForm.places) | {
        f"operations.{n}.{part}": f"operation_{n}_{part}" for n in range(rows) for part in _PARTS
    }
    made: OperationsForm = type("OperationsForm", (OperationsForm,), attributes)(**given)
    return made


def _reshaped(sent: Any, stored: Sequence[Row]) -> tuple[int, Any]:
    """How many rows there are after a button was pressed, and what was sent with its rows in their places."""
    moved = sent.copy()
    if LISTED not in sent:
        for n, row in enumerate(stored):
            for part in _PARTS:
                moved[f"operation_{n}_{part}"] = "" if row[part] is None else str(row[part])
        return len(stored), moved
    press = sent.get("operations", "")
    # One more than may be, so that the sentence about it is read with everything that was typed.
    numbers = sorted({int(found[1]) for name in sent if (found := _ROW.fullmatch(name))})[: MOST_OPERATIONS + 1]
    kept = [n for n in numbers if str(n) != press]
    for name in [name for name in sent if _ROW.fullmatch(name)]:
        del moved[name]
    for place, n in enumerate(kept):
        for part in _PARTS:
            moved[f"operation_{place}_{part}"] = sent.get(f"operation_{n}_{part}", "")
    rows = len(kept)
    if press == "add" and rows < MOST_OPERATIONS:
        for part in _PARTS:
            moved[f"operation_{rows}_{part}"] = ""
        rows += 1
    return rows, moved
