"""A pytest plugin: name every test that failed once and passed the second time; too many of them fail the run.

A test that needs a second run is a defect of the product or of the test. `--reruns 1` keeps one such test from
costing the run; this plugin keeps it from being forgotten: the list is printed at the end and in artifacts/reruns.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

MOST = 2  # tests that may need a second run before the run as a whole fails
FILE = Path(__file__).resolve().parents[1] / "artifacts" / "reruns.txt"

_rerun: dict[str, str] = {}  # the test's id → the last line of its first failure


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that is about to run again."""
    if str(report.outcome) == "rerun":
        _rerun[report.nodeid] = (report.longreprtext.strip().splitlines() or ["no message"])[-1]


def lines() -> list[str]:
    """Return one line for each test that ran twice."""
    return [f"{test}: {why}" for test, why in _rerun.items()]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the list, and fail a run in which too many tests ran twice. Without a rerun an older list is removed."""
    FILE.unlink(missing_ok=True)
    if _rerun:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text("\n".join(lines()) + "\n")
    if len(_rerun) > MOST and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the list at the end of the run."""
    if _rerun:
        verdict = f"more than {MOST}: the run fails" if len(_rerun) > MOST else f"at most {MOST} are accepted"
        terminalreporter.section(f"{len(_rerun)} tests needed a second run ({verdict})")
        for line in lines():
            terminalreporter.line(line)
