"""How windows age: minutes go into their hours, hours into their days, days go; by the stream's time, never a clock."""

from dataclasses import dataclass

from ledger.domain.window import WindowSize, start_of

LARGER = {WindowSize.MINUTE: WindowSize.HOUR, WindowSize.HOUR: WindowSize.DAY}


@dataclass(frozen=True, slots=True)
class Standing:
    """From which start on windows of each size stand, in seconds since 1970; older ones have gone into larger."""

    minutes_from: int = 0
    hours_from: int = 0
    days_from: int = 0

    def since(self, size: WindowSize) -> int:
        """Say where the oldest window of a size that stands may begin."""
        if size is WindowSize.MINUTE:
            return self.minutes_from
        return self.hours_from if size is WindowSize.HOUR else self.days_from

    def place(self, moment_us: int) -> tuple[WindowSize, int] | None:
        """Find the smallest window that stands for a moment, by size and start; none is left for what is too old."""
        return self._place(WindowSize.MINUTE, moment_us)

    def place_of_aged(self, size: WindowSize, start: int) -> tuple[WindowSize, int] | None:
        """Find the window that takes over what a window that no longer stands held."""
        larger = LARGER.get(size)
        return None if larger is None else self._place(larger, start * 1_000_000)

    def _place(self, smallest: WindowSize, moment_us: int) -> tuple[WindowSize, int] | None:
        size: WindowSize | None = smallest
        while size is not None:
            start = start_of(size, moment_us)
            if start >= self.since(size):
                return size, start
            size = LARGER.get(size)
        return None

    def moved_on(self, other: "Standing") -> "Standing":
        """Take the later of both for each size: what has gone does not come back."""
        return Standing(
            max(self.minutes_from, other.minutes_from),
            max(self.hours_from, other.hours_from),
            max(self.days_from, other.days_from),
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long windows of each size are kept after their end, in seconds."""

    minutes_s: int
    hours_s: int
    days_s: int

    def standing(self, stream_time_us: int) -> Standing:
        """Say what stands when the newest entry of a partition was posted at a time."""
        return Standing(
            _since(WindowSize.MINUTE, stream_time_us, self.minutes_s),
            _since(WindowSize.HOUR, stream_time_us, self.hours_s),
            _since(WindowSize.DAY, stream_time_us, self.days_s),
        )


def _since(size: WindowSize, stream_time_us: int, kept_s: int) -> int:
    return start_of(size, stream_time_us - kept_s * 1_000_000)
