"""Processor time counts for a part, whichever of its processes spent it."""

import os
import subprocess
import sys
from collections.abc import Iterable
from time import process_time

from loadtests.cpu import CpuMeter
from streams.embedded.state import ProcessRecord

BURN_S = 0.2
GRANDCHILD = f"""
import time
input()
begun = time.process_time()
while time.process_time() - begun < {BURN_S}: pass
print("burnt", flush=True)
input()
"""
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"


def record(name: str, pid: int | None) -> ProcessRecord:
    return ProcessRecord(name=name, pid=pid, ready=True, restarts=0)


class Parts:
    def __init__(self, *records: ProcessRecord) -> None:
        self._records = records

    def processes(self) -> Iterable[ProcessRecord]:
        return self._records


def test_the_time_of_a_process_that_a_part_started_counts_for_the_part() -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        meter = CpuMeter(Parts(record("part", process.pid), record("gone", None)))
        meter.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"burnt\n"
        begun = process_time()
        while process_time() - begun < BURN_S:
            os.getpid()
        meter.stop()
        told = meter.told()
        process.communicate(b"\n")
    assert told["part"] >= BURN_S
    assert told["load"] >= BURN_S
    assert set(told) == {"part", "load", "idle"}
    births = meter.births_s()
    assert {name: len(each) for name, each in births.items()} == {"part": 2, "load": 1}
    assert all(0 <= born < 60 for each in births.values() for born in each)
