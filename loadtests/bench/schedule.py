"""When each record is due: a schedule that is fixed before the first is sent, and that nothing delays."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple


class Step(NamedTuple):
    """So many records a second, for so many seconds."""

    rate: float
    seconds: float

    @property
    def records(self) -> int:
        """How many records it has."""
        return round(self.rate * self.seconds)


class Schedule:
    """Steps one after another; records are evenly spaced within each."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)
        if not self.steps or any(step.rate <= 0 or step.records < 1 for step in self.steps):
            raise ValueError(f"a schedule needs steps that have records: {self.steps}")
        self._firsts = [0, *accumulate(step.records for step in self.steps)]
        self._starts_s = [0.0, *accumulate(step.seconds for step in self.steps)]

    @property
    def count(self) -> int:
        """How many records there are."""
        return self._firsts[-1]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self._starts_s[-1]

    def step_of(self, index: int) -> int:
        """Give the number of the step that a record is of."""
        return bisect_right(self._firsts, index, hi=len(self.steps)) - 1

    def due_s(self, index: int) -> float:
        """Say when a record is due, in seconds from the start."""
        number = self.step_of(index)
        return self._starts_s[number] + (index - self._firsts[number]) / self.steps[number].rate

    def dues_s(self) -> Iterator[float]:
        """Give the dues of all records in order."""
        for first, step in zip(self._starts_s, self.steps, strict=False):
            for index in range(step.records):
                yield first + index / step.rate

    def due_by(self, at_s: float) -> int:
        """Count the records that are due by a moment, in seconds from the start; 0 before it."""
        if at_s < 0:
            return 0
        number = min(bisect_right(self._starts_s, at_s), len(self.steps)) - 1
        step = self.steps[number]
        done = int((at_s - self._starts_s[number]) * step.rate + 1e-6) + 1
        return self._firsts[number] + min(step.records, done)

    def span_of(self, number: int) -> tuple[float, float]:
        """Say when a step begins and ends, in seconds from the start."""
        return self._starts_s[number], self._starts_s[number + 1]
