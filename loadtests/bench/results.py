"""The shape of what the benchmark found: runs of cases with their repeats, the machine, the targets; JSON on disk."""

from pathlib import Path
from statistics import median
from typing import Any

import msgspec

EVENTS_ASKED = "events_asked"
"""In the settings of a drain: how many events it had; those before the first look are not counted."""

SHAPE = 1
"""Goes up when a report on disk is not read any more by what is written here."""


class Percentiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Latencies in milliseconds; `count` is how many were measured."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    count: int


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One value of a series: seconds since the run began (or what else the series goes by), and the value."""

    at_s: float
    value: float


class Measured(msgspec.Struct, forbid_unknown_fields=True):
    """One run of one case.

    `rate` is `events` a second over `seconds`. Of a drain, that is from the first look that found something handled
    to when the last is published, and `cpu_s` and `steps_s` are of the same stretch: of its steps, the share of the
    records that were handled in it. `latencies` go by what they are from
    and to (`published_to_committed`), `cpu_s` by process (with `idle`), `steps_s` by step of the worker,
    `series` by name (`rate`, `lag`, `memory_mib.posting-1`), `cost` by what it counts, for this run
    (`postgres_bytes`, `wal_bytes`, `kafka_bytes`). `checked` holds the faults that were found in the end
    state: None if nobody looked, empty if the books are as expected. `notes` say how it was measured.
    """

    case: str
    rate: float
    seconds: float
    events: int
    latencies: dict[str, Percentiles] = {}
    cpu_s: dict[str, float] = {}
    steps_s: dict[str, float] = {}
    series: dict[str, list[Point]] = {}
    cost: dict[str, float] = {}
    checked: list[str] | None = None
    settings: dict[str, Any] = {}
    notes: list[str] = []

    @property
    def asked(self) -> int:
        """How many events it had, whether or not all are counted."""
        return int(self.settings.get(EVENTS_ASKED, self.events))


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it ran on; memory in MiB."""

    cpu: str
    cores: int
    memory_mib: int
    kernel: str


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was to be reached, and what was: one figure a repeat.

    `of` says how the figures were worked out. `holds` is whether every repeat reached `at_least`, and
    `aim_holds` the same of `aim`; None if it was not measured, or if there is nothing to reach.
    """

    name: str
    at_least: float | None
    aim: float | None
    of: str = ""
    unit: str = ""
    lower_is_better: bool = False
    found: list[float] = []
    holds: bool | None = None
    aim_holds: bool | None = None


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """Everything of one invocation; `cases` gives the repeats of each case, in the order they ran."""

    machine: Machine
    versions: dict[str, str]
    started_at: str
    cases: dict[str, list[Measured]] = {}
    targets: list[Target] = []
    notes: list[str] = []
    shape: int = SHAPE

    def add(self, measured: Measured) -> None:
        """Take in one more repeat of its case, with those of its notes that are new."""
        self.cases.setdefault(measured.case, []).append(measured)
        self.notes += [note for note in measured.notes if note not in self.notes]

    def rates(self, case: str) -> list[float]:
        """Give the rate of each repeat of a case; none if it was not run."""
        return [measured.rate for measured in self.cases.get(case, [])]

    def rate(self, case: str) -> float | None:
        """Give the median rate of a case."""
        rates = self.rates(case)
        return median(rates) if rates else None

    @property
    def faults(self) -> list[str]:
        """What is wrong in the books, with the case it was found in."""
        return [
            f"{case}, run {number}: {fault}"
            for case, runs in self.cases.items()
            for number, measured in enumerate(runs, 1)
            for fault in measured.checked or []
        ]


def slim(report: Report) -> Report:
    """Give what a comparison needs: everything but the series, and what comes of cost in parts."""
    cases = {
        case: [
            msgspec.structs.replace(
                run, series={}, cost={name: value for name, value in run.cost.items() if "." not in name}
            )
            for run in runs
        ]
        for case, runs in report.cases.items()
    }
    return msgspec.structs.replace(report, cases=cases)


class UnreadableReportError(ValueError):
    """This file holds no report that can be read."""


def encode(report: Report) -> bytes:
    """Give a report as JSON, two spaces deep."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def decode(data: bytes, origin: str = "this") -> Report:
    """Read a report back; UnreadableReportError if it is none, or one of another shape."""
    try:
        report = msgspec.json.decode(data, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableReportError(f"{origin} holds no report: {error}") from error
    if report.shape != SHAPE:
        raise UnreadableReportError(f"{origin} has shape {report.shape}; this reads {SHAPE}")
    return report


def save(report: Report, path: Path) -> None:
    """Write a report to a file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(report))


def load(path: Path) -> Report:
    """Read a report from a file, or from `report.json` in a folder."""
    file = path / "report.json" if path.is_dir() else path
    try:
        return decode(file.read_bytes(), str(file))
    except OSError as error:
        raise UnreadableReportError(f"{file} cannot be read: {error.strerror}") from error
