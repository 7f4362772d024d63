"""A report says what its machine can do: cores that are threads of one do little more together."""

import psutil
import pytest

from loadtests.bench import machine
from loadtests.bench.machine import at_once


async def test_cores_together_are_told_as_a_multiple_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def counted(processes: int, seconds: float) -> int:
        return {1: 100, 4: 150}[processes]

    monkeypatch.setattr(machine, "_counted", counted)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    assert await at_once() == 1.5


async def test_cores_together_are_measured_in_what_one_does() -> None:
    assert 0 < await at_once(0.05) < 3 * (psutil.cpu_count() or 1)
