"""The plan of a run: its events and its faults, drawn from the seed; what fails can be kept, and made smaller."""

from pathlib import Path
from typing import Any

import msgspec

KEPT = Path(__file__).parent / "kept"


class Sent(msgspec.Struct, frozen=True):
    """One record that a producer writes."""

    at: float
    """Virtual seconds since the beginning."""
    key: str | None
    value: str | None
    """As it goes into the topic; characters above 255 never come, so that any bytes can be kept."""
    partition: int | None = None
    """None: that of the key."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong."""

    at: float
    kind: str
    process: str = ""
    mode: str = ""
    s: float = 0.0
    """How long it lasts, or until it is over; seconds."""
    count: int = 1


class Plan(msgspec.Struct, frozen=True):
    """All that a run needs; the seed draws the rest: latencies, and who runs next."""

    seed: int
    partitions: int
    posting: int
    """Workers of each kind."""
    windows: int
    payments: int
    readers: int
    batch_records: int
    sent: tuple[Sent, ...]
    faults: tuple[Fault, ...]
    expects: str = ""
    """Of a plan that is kept: what it once found."""

    @property
    def processes(self) -> dict[str, int]:
        """Count the processes of each kind."""
        return {
            "post": self.posting,
            "windows": self.windows,
            "payments": self.payments,
            "read": self.readers,
        }

    @property
    def ends_at(self) -> float:
        """When the last record is sent and the last fault is over, in virtual seconds."""
        times = [each.at for each in self.sent] + [each.at + each.s for each in self.faults]
        return max(times, default=0.0)


def save(plan: Plan, directory: Path = KEPT) -> Path:
    """Keep a plan."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{plan.seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
    return path


def load(path: Path) -> Plan:
    """Read a plan that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def bytes_of(text: str | None) -> bytes | None:
    """Give what goes into the topic."""
    return None if text is None else text.encode("latin-1")


def text_of(value: bytes | None) -> str | None:
    """Write bytes so that they can be kept."""
    return None if value is None else value.decode("latin-1")


Facts = dict[str, Any]
