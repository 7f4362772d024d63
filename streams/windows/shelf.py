"""One partition's windows: what is merged since the last checkpoint, over what the table holds."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from ledger.domain.aging import Retention, Standing
from ledger.domain.life import Life, join, life_of, live_on
from ledger.domain.window import Window, WindowSize, merge, merged
from streams.windows.entries import Seen
from streams.windows.keys import EDITION_KEY, read_key, window_key

AGED_KEYS_MAX = 20_000
"""How many windows age in one checkpoint, so that it stays short; the rest follow in the next."""

Find = Callable[[bytes], bytes | None]

_encode = msgspec.msgpack.Encoder().encode
_decode_window = msgspec.msgpack.Decoder(Window).decode
_decode_life = msgspec.msgpack.Decoder(Life).decode


class Changes(NamedTuple):
    """What a checkpoint writes of a partition: first the values, and when they are safe, the tombstones of `gone`."""

    values: dict[bytes, bytes]
    gone: list[bytes]


def read_value(key: bytes, value: bytes) -> Window:
    """Decode a window, or a life; raises msgspec.MsgspecError."""
    return _decode_life(value) if key.count(b" ") == 1 else _decode_window(value)


def merge_values(key: bytes, one: bytes, other: bytes) -> bytes:
    """Put two values of one key together, as they are written; gives either itself where it has all of both."""
    if one == other or key == EDITION_KEY:
        return other
    is_life = key.count(b" ") == 1
    before: Any = _decode_life(one) if is_life else _decode_window(one)
    after: Any = _decode_life(other) if is_life else _decode_window(other)
    together: Any = join if is_life else merge
    # Nearly always the later is the former, with more.
    both = together(after, before)
    if both is after:
        return other
    return one if both == before else _encode(both)


class Shelf:
    """The windows of one partition. Readers see an entry as soon as it is taken; the table has it after `landed`.

    `find` reads the table. Aging moves `standing` on before anything goes, and tombstones are written only after
    what took the windows over, with the newest entries, is safe: so after a crash nothing stands that had gone.
    """

    def __init__(self, find: Find, retention: Retention) -> None:
        self._find = find
        self._retention = retention
        self._dirty: dict[bytes, Window] = {}
        self._flying: dict[bytes, Window] = {}
        self._gone: set[bytes] = set()
        self._due: dict[WindowSize, dict[int, set[bytes]]] = {size: {} for size in WindowSize}
        self._names: dict[bytes, bytes] = {}
        self.incomplete: dict[bytes, int] = {}
        """Lives with versions missing, and how many of each."""
        self.stream_time_us: int | None = None
        self.standing = Standing()

    # After recovery

    def load(self, items: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """Learn what the table holds, a step a window; `standing` moves on at the end."""
        for key, value in items:
            if key != EDITION_KEY:
                self._load(key, value)
                yield
        self._move_on()

    def _load(self, key: bytes, value: bytes) -> None:
        found = read_key(key)
        if found is not None:
            self._plan(found.size, found.start, self._names.setdefault(found.name, found.name))
        else:
            self._names.setdefault(key, key)
            self._note_life(key, _decode_life(value))

    # Taking entries

    def take(self, entries: Iterable[Seen]) -> int:
        """Merge entries; returns how many were older than all that is kept."""
        dropped = 0
        names, dirty = self._names, self._dirty
        moment_us, place = -1, None
        for name, window in entries:
            life = self.life(name)
            grown = life_of(window) if life is None else live_on(life, window)
            if grown is not life:
                name = names.setdefault(name, name)
                dirty[name] = grown
                self._note_life(name, grown)
            if window.last_posted_at_us != moment_us:
                # A batch posts all its entries at one time.
                moment_us = window.last_posted_at_us
                place = self.standing.place(moment_us)
            if place is None:
                dropped += 1
            else:
                self._put(names.get(name, name), *place, window)
        return dropped

    def _note_life(self, name: bytes, life: Life) -> None:
        if self.stream_time_us is None or life.last_posted_at_us > self.stream_time_us:
            self.stream_time_us = life.last_posted_at_us
        if life.holes:
            self.incomplete[name] = life.missing
        elif self.incomplete:
            self.incomplete.pop(name, None)

    def _put(self, name: bytes, size: WindowSize, start: int, window: Window) -> None:
        key = window_key(name, size, start)
        standing = self.window(key)
        both = window if standing is None else merge(standing, window)
        if both is not standing:
            self._dirty[key] = both
            if standing is None:
                self._plan(size, start, name)

    def _plan(self, size: WindowSize, start: int, name: bytes) -> None:
        self._due[size].setdefault(start, set()).add(name)

    # Reading

    def life(self, name: bytes) -> Life | None:
        """Give all that was seen of an account and asset."""
        found = self._dirty.get(name) or self._flying.get(name)
        if found is not None:
            return found  # type: ignore[return-value]  # the keys of lives hold lives
        stored = self._find(name)
        return None if stored is None else _decode_life(stored)

    def window(self, key: bytes) -> Window | None:
        """Give one window as it stands by itself."""
        found = self._dirty.get(key) or self._flying.get(key)
        if found is not None:
            return found
        stored = self._find(key)
        return None if stored is None else _decode_window(stored)

    def windows(
        self, name: bytes, size: WindowSize, first: int, before: int, limit: int
    ) -> list[tuple[int, Window]]:
        """Read windows that begin in [first, before), oldest first, at most `limit`; of smaller ones as well."""
        found: list[tuple[int, Window]] = []
        oldest = self._oldest(size)
        if oldest is None or self.stream_time_us is None:
            return found
        begin = max(first + -first % size.seconds, self.standing.since(size), oldest)
        until = min(before, self.stream_time_us // 1_000_000 + 1)
        for start in range(begin, until, size.seconds):
            window = merged(self._parts(name, size, start))
            if window is not None:
                found.append((start, window))
                if len(found) >= limit:
                    break
        return found

    def _oldest(self, size: WindowSize) -> int | None:
        """Say where the oldest window of a size begins, made of smaller ones as well."""
        starts = [min(self._due[size], default=None)]
        smaller = _SMALLER.get(size)
        if smaller is not None and (inner := self._oldest(smaller)) is not None:
            starts.append(inner - inner % size.seconds)
        return min((start for start in starts if start is not None), default=None)

    def _parts(self, name: bytes, size: WindowSize, start: int) -> Iterator[Window]:
        window = self.window(window_key(name, size, start))
        if window is not None:
            yield window
        smaller = _SMALLER.get(size)
        if smaller is None:
            return
        oldest = self._oldest(smaller)
        if oldest is not None:
            for inner in range(max(start, oldest), start + size.seconds, smaller.seconds):
                yield from self._parts(name, smaller, inner)

    def count(self, size: WindowSize) -> int:
        """How many windows of a size are held."""
        return sum(len(names) for names in self._due[size].values())

    @property
    def lives(self) -> int:
        """How many accounts and assets were ever seen."""
        return len(self._names)

    # Checkpoints

    def age(self, keys_max: int = AGED_KEYS_MAX) -> int:
        """Merge windows past their time into those that take them over; returns how many. Not half-way in `take`."""
        self._move_on()
        aged = 0
        for size in WindowSize:
            for start in self._past(size):
                names = self._due[size][start]
                while names and aged < keys_max:
                    self._retire(names.pop(), size, start)
                    aged += 1
                if not names:
                    del self._due[size][start]
        return aged

    def _move_on(self) -> None:
        if self.stream_time_us is not None:
            self.standing = self.standing.moved_on(self._retention.standing(self.stream_time_us))

    def _past(self, size: WindowSize) -> list[int]:
        since = self.standing.since(size)
        return sorted(start for start in self._due[size] if start < since)

    def _retire(self, name: bytes, size: WindowSize, start: int) -> None:
        key = window_key(name, size, start)
        window = self.window(key)
        place = self.standing.place_of_aged(size, start)
        if window is not None and place is not None:
            self._put(name, *place, window)
        self._dirty.pop(key, None)
        self._gone.add(key)

    def take_off(self) -> Changes:
        """Begin a checkpoint: give what it is to write. Ends with `landed`; there is one at a time."""
        self._flying, self._dirty = self._dirty, {}
        gone, self._gone = self._gone, set()
        return Changes({key: _encode(value) for key, value in self._flying.items()}, sorted(gone))

    def rewrite(self, keys: Iterable[bytes]) -> None:
        """Write these as they stand in the next checkpoint, though nothing changed them."""
        for key in keys:
            value = self._find(key)
            if value is not None and key not in self._dirty and key != EDITION_KEY:
                self._dirty[key] = read_value(key, value)

    def landed(self) -> None:
        """The checkpoint is in the table."""
        self._flying = {}


_SMALLER = {WindowSize.HOUR: WindowSize.MINUTE, WindowSize.DAY: WindowSize.HOUR}
