"""Versions that do not come: told when they are missing for too long, and when they have come after all."""

from collections.abc import Iterable
from typing import NamedTuple

TRACKED_MAX = 10_000


class Look(NamedTuple):
    """What changed since the last look; lives by their keys."""

    missing: list[bytes]
    healed: list[bytes]


class MissingVersions:
    """Watches lives with holes. Two writers publish independently, so a hole is nothing to tell at first."""

    def __init__(self, patience_s: float, tracked_max: int = TRACKED_MAX) -> None:
        self._patience_s = patience_s
        self._tracked_max = tracked_max
        self._since: dict[bytes, float] = {}
        self._told: set[bytes] = set()

    def look(self, now: float, incomplete: Iterable[bytes]) -> Look:
        """Look at all lives that have holes now, at a time in seconds of a clock that does not go back."""
        seen = set(incomplete)
        healed = [name for name in self._told if name not in seen]
        self._since = {name: since for name, since in self._since.items() if name in seen}
        self._told &= seen
        for name in seen:
            if name not in self._since and len(self._since) < self._tracked_max:
                self._since[name] = now
        missing = [
            name
            for name, since in self._since.items()
            if now - since > self._patience_s and name not in self._told
        ]
        self._told.update(missing)
        return Look(missing, healed)

    @property
    def told(self) -> int:
        """How many lives miss versions for too long."""
        return len(self._told)
