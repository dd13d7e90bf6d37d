"""`make bench`, or `python -m bench [NAME…]`: measure, print a table, keep the figures in `bench/results.json`.

Without names, everything. The figures of benches that did not run stay as they were. Ends with 1 when a budget is
missed or something failed.
"""

import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import (
    catalogue,
    chain,
    counted,
    docs,
    everything,
    faults,
    home,
    imports,
    ingest,
    keyring,
    keys,
    limits,
    machine,
    quotas,
    releases,
    rights,
)
from bench.rows import Missing, Row, table

BENCHES: dict[str, ModuleType] = {
    "chain": chain,
    "everything": everything,
    "keys": keys,
    "rights": rights,
    "releases": releases,
    "ingest": ingest,
    "counted": counted,
    "limits": limits,
    "quotas": quotas,
    "home": home,
    "keyring": keyring,
    "imports": imports,
    "catalogue": catalogue,
    "docs": docs,
    "faults": faults,
}
ABSOLUTE = {
    *("keys", "rights", "releases", "ingest", "quotas", "home"),
    *("keyring", "imports", "catalogue", "docs", "faults"),
}
"""Their budgets are not ratios, so they stand beside a calibration of the machine."""
RESULTS = Path(__file__).with_name("results.json")


def main(names: list[str]) -> int:
    wanted = names or os.environ.get("ONLY", "").split() or list(BENCHES)
    if unknown := [name for name in wanted if name not in BENCHES]:
        print(f"There is no bench {unknown[0]}. There are {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    failed = False
    for name in wanted:
        try:
            rows = measure(name)
        except Missing as missing:
            print(f"{name} is left out. {missing}", flush=True)
        except Exception:
            failed = True
            print(f"{name} failed.\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        else:
            failed |= any(row.ok is False for row in rows)
    return int(failed)


def measure(name: str) -> list[Row]:
    began = time.monotonic()
    conditions = machine.describe()
    before = machine.calibration() if name in ABSOLUTE else []
    rows: list[Row] = before + BENCHES[name].run()
    seconds = time.monotonic() - began
    print(f"\n{name}, {seconds:.0f} s\n{table(rows)}", flush=True)
    keep(
        name,
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds),
            "machine": conditions,
            "rows": [row.as_json() for row in rows],
        },
    )
    return rows


def keep(name: str, figures: dict[str, Any]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[name] = figures
    ordered = {bench: known[bench] for bench in BENCHES if bench in known}
    draft = RESULTS.with_suffix(".tmp")
    draft.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    draft.replace(RESULTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
