"""Faults as a run has them: what is planned for a process or a server waits here until somebody meets it."""

from collections import defaultdict, deque
from collections.abc import Mapping
from random import Random
from typing import Any

from aiokafka.errors import KafkaConnectionError

EVERYBODY = "*"


class Faults:
    """Planned faults by process and kind, each met once; and what is away as a whole."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._waiting: defaultdict[tuple[str, str], deque[Mapping[str, Any]]] = defaultdict(deque)
        self.away: dict[str, int] = defaultdict(int)

    def add(self, process: str, kind: str, facts: Mapping[str, Any]) -> None:
        """Let the next call of this kind of a process fail."""
        self._waiting[process, kind].append(facts)

    def take(self, process: str, kind: str) -> Mapping[str, Any] | None:
        """Give the fault that a call meets now, if there is one."""
        queue = self._waiting.get((process, kind))
        return queue.popleft() if queue else None

    def clear(self) -> None:
        """From now on nothing fails."""
        self._waiting.clear()
        self.away.clear()

    def raise_kafka_away(self) -> None:
        """Raise if no broker can be reached."""
        if self.away["kafka"]:
            raise KafkaConnectionError("no broker")

    def small_delay(self) -> float:
        """Draw a moment, in seconds."""
        return self._chance.choice((0.0, 0.0, 0.0005, 0.003, 0.02))
