"""What is known of a request while it is answered: shared by the layers around the routes."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

NAME = "ledger.request"


def _nothing() -> None:
    return None


@dataclass(slots=True)
class RequestFacts:
    """One request."""

    correlation_id: str
    tenant: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Added to whatever is answered."""
    is_told: bool = False
    """What went wrong was told by a signal of its own."""
    traceparent: str | None = None
    """Where it stands in its trace, if it is in one."""
    release: Callable[[], None] = _nothing
    """Give back the request's place among those in flight: what goes on from here only waits."""


def facts_of(scope: MutableMapping[str, Any]) -> RequestFacts:
    """Give the facts of a request; outside of the telemetry layer, as in tests of one route, they begin here."""
    found = scope.get(NAME)
    if not isinstance(found, RequestFacts):
        found = scope[NAME] = RequestFacts("none")
    return found
