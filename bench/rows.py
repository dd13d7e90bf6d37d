"""One line of the table: a figure, its budget and the samples it comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal


class Missing(Exception):
    """Something that a bench needs is not on this machine; `str()` says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Budget:
    sign: Literal["≤", "≥", "="]
    number: float

    def __str__(self) -> str:
        return f"{self.sign} {self.number:g}"

    def holds(self, value: float) -> bool:
        match self.sign:
            case "≤":
                return value <= self.number
            case "≥":
                return value >= self.number
            case _:
                return value == self.number


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    what: str
    value: float
    unit: str = ""
    budget: Budget | None = None
    """None for a figure that only informs."""
    samples: Sequence[float] = ()
    """What `value` is the middle of, in the order of measuring; empty where `value` is one count."""
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    """Whatever helps to judge the figure; goes into the results, not into the table."""

    @property
    def ok(self) -> bool | None:
        return None if self.budget is None else self.budget.holds(self.value)

    def as_json(self) -> dict[str, Any]:
        values = asdict(self) | {"budget": str(self.budget) if self.budget else None, "ok": self.ok}
        values["value"] = significant(self.value)
        values["samples"] = [significant(sample) for sample in self.samples]
        return values


def middle(name: str, what: str, samples: Sequence[float], unit: str = "", **fields: Any) -> Row:
    """A row whose value is the median."""
    return Row(name, what, median(samples), unit, samples=tuple(samples), **fields)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def significant(number: float) -> float:
    """Four digits are more than these figures deserve; whole numbers stay whole, for counts may have to agree."""
    return number if number == int(number) else float(f"{number:.4g}")


def table(rows: Sequence[Row]) -> str:
    lines = [("", "figure", "value", "budget", "spread")]
    for row in rows:
        mark = {None: " ", True: "✔", False: "✘"}[row.ok]
        spread = f"{shown(min(row.samples))} … {shown(max(row.samples))}" if len(row.samples) > 1 else ""
        lines.append((mark, row.name, f"{shown(row.value)} {row.unit}".strip(), str(row.budget or ""), spread))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    text = []
    for n, line in enumerate(lines):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text.append(f"{cells}  {rows[n - 1].what if n else 'what'}".rstrip())
        if n and rows[n - 1].note:
            text.append(f"{' ' * 5}{rows[n - 1].note}")
    return "\n".join(text)


def shown(number: float) -> str:
    if abs(number) >= 1_000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number != int(number) else f"{number:.0f}"
