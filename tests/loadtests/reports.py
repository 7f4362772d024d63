"""Reports of benchmarks that were never run."""

from collections.abc import Sequence

from loadtests.bench.results import Machine, Measured, Percentiles, Report

MACHINE = Machine("a processor", 2, 16_000, "Linux 6")


def report_of(**rates: Sequence[float]) -> Report:
    """A report with repeats; `drain_uniform` stands for the case `drain/uniform`, `__` for an @."""
    report = Report(MACHINE, {"python": "3.11"}, "2026-11-21T12:00:00Z")
    for name, values in rates.items():
        for rate in values:
            report.add(run(name.replace("__", "@").replace("_", "/", 1), rate))
    return report


def run(case: str, rate: float, **latencies_ms: float) -> Measured:
    """One run whose books are right; latencies by their p99."""
    return Measured(
        case=case,
        rate=rate,
        seconds=10.0,
        events=1000,
        latencies={name: latency(value) for name, value in latencies_ms.items()},
        checked=[],
    )


def latency(p99_ms: float) -> Percentiles:
    return Percentiles(p99_ms / 8, p99_ms / 3, p99_ms, p99_ms * 1.5, p99_ms * 2, 5000)
