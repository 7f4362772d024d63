"""Ends the process when it has work and does none of it, so that another can take it over."""

import logging
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import cast

from aiokafka import TopicPartition

from streams.transport.app import ChunkedApp
from streams.transport.consumer import ChunkedConsumer
from streams.transport.exits import Exit
from streams.transport.health import PartitionState, partition_states

LOOKS_PER_LIMIT = 20
LOOK_S_MAX = 2.0

SPARE_BYTES = 1024 * 1024
"""Without so much more memory, calls that wake others fail without a word, and what waits for them waits for ever."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What the watchdog sees at one moment; `polled_at` is when the consumer last asked for chunks."""

    now: float
    states: Sequence[PartitionState]
    polled_at: float
    waits: Sequence[str]


class StallDetector:
    """Decides whether anything has stood still for longer than `limit_s` although it could move; pure."""

    def __init__(self, limit_s: float, interval_s: float) -> None:
        self._limit_s = limit_s
        self._interval_s = interval_s
        self._looked_at: float | None = None
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        self._idle_since = 0.0

    def look(self, look: Look) -> str | None:
        """The reason to end the process, if there is one."""
        slept = self._looked_at is None or look.now - self._looked_at > 3 * self._interval_s
        self._looked_at = look.now
        if slept or look.waits:
            # Stopped and continued, or waiting for something outside: whatever stood still did so for a reason.
            self._since.clear()
            self._idle_since = look.now
        return self._not_polled(look) or self._not_advanced(look)

    def _not_polled(self, look: Look) -> str | None:
        still = look.now - max(look.polled_at, self._idle_since)
        return f"nothing was asked of Kafka for {still:.0f} s" if still > self._limit_s else None

    def _not_advanced(self, look: Look) -> str | None:
        lagging = {state.place: state for state in look.states if state.lag > 0}
        self._since = {place: since for place, since in self._since.items() if place in lagging}
        for place, state in lagging.items():
            offset, since = self._since.setdefault(place, (state.frontier, look.now))
            if offset != state.frontier:
                self._since[place] = (state.frontier, look.now)
            elif look.now - since > self._limit_s:
                return f"{place.topic}/{place.partition} stands at {offset} with a lag of {state.lag}"
        return None


class Watchdog:
    """Looks from a thread of its own, so that an event loop that hangs is seen as well."""

    def __init__(
        self, app: ChunkedApp, limit_s: float, end_process: Callable[[int], object] = os._exit
    ) -> None:
        self._app = app
        self._end_process = end_process
        self._interval_s = min(LOOK_S_MAX, limit_s / LOOKS_PER_LIMIT)
        self._detector = StallDetector(limit_s, self._interval_s)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _watch(self) -> None:
        """Look until there is a reason, or `stop`. Whatever else ends this ends the process too: who would look?"""
        try:
            while not self._stopped.wait(self._interval_s):
                reason = _shortage() or self._detector.look(self._seen())
                if reason is not None and not self._stopped.is_set():
                    self._tell(reason)
                    return
        except Exception as fault:
            _log.exception("the watchdog failed")
            self._tell(f"the watchdog failed: {fault!r}")
        finally:
            if not self._stopped.is_set():
                self._end_process(Exit.STALLED)

    def _seen(self) -> Look:
        polled_at = cast(ChunkedConsumer, self._app.consumer).polled_at
        return Look(monotonic(), partition_states(self._app), polled_at, self._app.flow.waits())

    def _tell(self, reason: str) -> None:
        _log.critical("the watchdog ends the process: %s", reason)
        self._app.flow.signals.emit("worker.stalled", reason=reason)


def _shortage() -> str | None:
    """Ask the system for some memory, and give it back; says so where it gives none."""
    try:
        mmap.mmap(-1, SPARE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return "no memory is left"
    return None
