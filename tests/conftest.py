"""What holds for every test: with ORZE_REQUIRE_ALL=1 a skipped test is a failed one."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything that a test needs must be there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("ORZE_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and ORZE_REQUIRE_ALL=1: {report.longrepr}"
    return report
