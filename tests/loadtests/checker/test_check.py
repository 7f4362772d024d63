"""On a ledger that is right the checker finds nothing, and says what it looked at."""

import dataclasses

from loadtests.chaos.checker.run import check
from tests.loadtests.checker.stage import Stage


async def test_a_ledger_that_is_right_is_found_right(stage: Stage) -> None:
    report = await check(dataclasses.replace(stage.options, rebuild=True))

    told = "\n".join(report.lines())
    assert report.ok, told
    assert all(each.checked for each in report.invariants.values()), told
    assert report.verdict() == "equal"
