"""Which partition a key goes to: murmur2, as Java, aiokafka and Faust have it, so that all writers agree."""

from collections.abc import Callable
from itertools import count

from aiokafka.partitioner import murmur2

KEYS_REMEMBERED_MAX = 200_000


class Partitioner:
    """Chooses partitions; remembers hashes, because murmur2 in Python costs more than all else for a record."""

    def __init__(self, keys_max: int = KEYS_REMEMBERED_MAX) -> None:
        self._keys_max = keys_max
        self._hashes: dict[bytes, int] = {}
        self._turns: dict[str, count[int]] = {}

    def chooser(self, topic: str, partitions: int) -> Callable[[bytes | None], int]:
        """A function from key to index of partition; records without a key take turns."""
        turns = self._turns.setdefault(topic, count())
        known = self._hashes.get

        def choose(key: bytes | None) -> int:
            if key is None:
                return next(turns) % partitions
            hashed = known(key)
            return (self._remember(key) if hashed is None else hashed) % partitions

        return choose

    def _remember(self, key: bytes) -> int:
        if len(self._hashes) >= self._keys_max:
            self._hashes.clear()
        hashed: int = murmur2(key) & 0x7FFFFFFF
        self._hashes[key] = hashed
        return hashed
