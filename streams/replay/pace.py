"""How fast a replay may go, and how long it will take."""

from dataclasses import dataclass

POINTS_MAX = 400
BATCH_S = 0.1
"""How long the events of one batch would take at the rate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate` events a second from `started_s` on; 0: as fast as it can."""

    rate: float
    started_s: float

    def at_once(self, most: int) -> int:
        """Tell how many events a batch may have, so that those who want its accounts wait for a moment only."""
        return min(most, max(1, int(self.rate * BATCH_S))) if self.rate else most

    def wait_s(self, done: int, now_s: float) -> float:
        """Tell how long to wait after `done` events."""
        return max(0.0, self.started_s + done / self.rate - now_s) if self.rate else 0.0


class Curve:
    """Counts over time, in a bounded number of points."""

    def __init__(self) -> None:
        self.points: list[tuple[float, int]] = [(0.0, 0)]
        self._step_s = 0.0

    def add(self, seconds: float, count: int) -> None:
        """Note that `count` was reached after `seconds`."""
        if seconds - self.points[-1][0] >= self._step_s:
            self.points.append((seconds, count))
        if len(self.points) > POINTS_MAX:
            self.points = self.points[::2]
            self._step_s = seconds / POINTS_MAX * 2

    def end(self, seconds: float, count: int) -> None:
        """Note where it ended."""
        if self.points[-1] != (seconds, count):
            self.points.append((seconds, count))
