"""A report says what its machine can do: cores that are threads of one do little more together."""

import psutil

from loadtests.bench.machine import at_once


async def test_cores_together_are_measured_in_what_one_does() -> None:
    assert 0 < await at_once(0.05) < 3 * (psutil.cpu_count() or 1)
