"""Named signals: code says what happened, and logs, metrics and traces listen without being able to break it."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

Facts = Mapping[str, Any]
Listener = Callable[[str, Facts], None]

_fallback = logging.getLogger(__name__)


class Signals:
    """Hands each named fact to every listener, in the order in which they were added."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners: list[Listener] = list(listeners)

    def listen(self, listener: Listener) -> None:
        """Add a listener; it is called in the emitter's thread and must not block."""
        self._listeners.append(listener)

    def emit(self, name: str, /, **facts: Any) -> None:
        """Say that `name` (dotted, past tense: `batch.posted`) happened; never raises."""
        for listener in self._listeners:
            try:
                listener(name, facts)
            except Exception:
                _fallback.exception("a listener failed on %s", name)
