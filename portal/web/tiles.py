"""The numbers of a window, each against the period before: good or bad by what it means, not by its direction."""

from dataclasses import dataclass
from typing import NamedTuple

from portal.traffic.series import Counts, Latency, Totals
from portal.web import format
from portal.web.windows import View


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    exact: str | None
    url: str | None
    delta: str | None
    good: bool | None
    note: str


class Active(NamedTuple):
    """Consumers that called at least once."""

    now: int
    before: int | None


def tiles(
    view: View, now: Totals, before: Totals | None, active: Active | None, callers: int | None = None
) -> list[Tile]:
    """`active` is None on the page of one consumer and of one operation, which has `callers`: those of 30 days."""
    calls, old = now.counts, before.counts if before else None
    made = [
        Tile(
            "Calls",
            format.number(calls.calls),
            f"{calls.calls:,}",
            view.calls_url(),
            _relative(calls.calls, old.calls if old else None),
            None,
            "",
        )
    ]
    for label, asked, field in (
        ("4xx", "4xx", "client_errors"),
        ("429 limited", "429", "limited"),
        ("5xx", "5xx", "server_errors"),
    ):
        count = getattr(calls, field)
        delta, good = _points(count, calls, getattr(old, field) if old else 0, old)
        made.append(
            Tile(
                label,
                format.percent(count / calls.calls if calls.calls else None),
                f"{count:,} of {calls.calls:,} calls",
                view.calls_url(status=asked),
                delta,
                good,
                f"{format.number(count)} calls" if count != 1 else "1 call",
            )
        )
    for name in ("p50", "p95", "p99"):
        made.append(_percentile(view, name, now.latency, before.latency if before else None))
    if active:
        made.append(
            Tile(
                "Active consumers",
                format.number(active.now),
                f"{active.now:,}",
                "#consumers" if active.now else view.calls_url(),
                _difference(*active),
                None,
                "",
            )
        )
    if callers is not None:
        made.append(
            Tile("Callers", format.number(callers), f"{callers:,}", "#callers", None, None, "in the last 30 days")
        )
    return made


def _percentile(view: View, name: str, now: Latency, before: Latency | None) -> Tile:
    value: float | None = getattr(now, f"{name}_us")
    old: float | None = getattr(before, f"{name}_us") if before else None
    n = f"n = {format.number(now.n)}"
    if value is None:
        return Tile(name, format.UNKNOWN, f"Too few calls for a percentile: {now.n}.", None, None, None, n)
    delta = _relative(value, old)
    # A tenth up or down is what a busy hour does by itself.
    good = None if not old or abs(value - old) < old / 10 else value < old
    exact = f"{value / 1000:,.2f} ms, of {now.n:,} calls that reached an upstream"
    return Tile(name, format.ms(value), exact, view.calls_url(min_ms=int(value / 1000)), delta, good, n)


def _relative(now: float, before: float | None) -> str | None:
    """The change against the period before: `+12 %`, `×3.4`; None without anything to compare with."""
    if not before or not now:
        return None
    change = now / before - 1
    if abs(change) < 0.005:
        return None
    if change >= 2:
        return f"×{format.number(now / before)}"
    return f"{'+' if change > 0 else '−'}{abs(change) * 100:.0f}\u202f%"


def _points(some: int, of: Counts, before: int, of_before: Counts | None) -> tuple[str | None, bool | None]:
    if not of.calls or not of_before or not of_before.calls:
        return None, None
    change = (some / of.calls - before / of_before.calls) * 100
    if abs(change) < 0.05:
        return None, None
    return f"{'+' if change > 0 else '−'}{abs(change):.1f}\u202fpt", change < 0


def _difference(now: int, before: int | None) -> str | None:
    if before is None or now == before:
        return None
    return f"{'+' if now > before else '−'}{abs(now - before):,}"
