"""One line about what was skipped and why; with PORTAL_TEST_REQUIRE_ALL=1, as in CI, a skipped test fails the run.

Only what needs the rights of root may be left out even there: such reasons begin with ONLY_ROOT.
"""

import os
from collections import Counter

import pytest

ONLY_ROOT = "only root may "


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _required() and _forbidden(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reasons = _reasons(config)
    if not reasons:
        return
    listed = "; ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
    fails = _required() and _forbidden(config)
    end = " PORTAL_TEST_REQUIRE_ALL=1 does not allow that." if fails else ""
    terminalreporter.write_line(f"Not run: {listed}.{end}", red=fails, yellow=not fails)


def _reasons(config: pytest.Config) -> Counter[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter is not None else []
    texts = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    return Counter(text.removeprefix("Skipped: ") for text in texts)


def _forbidden(config: pytest.Config) -> bool:
    return any(not reason.startswith(ONLY_ROOT) for reason in _reasons(config))


def _required() -> bool:
    return os.environ.get("PORTAL_TEST_REQUIRE_ALL") == "1"
