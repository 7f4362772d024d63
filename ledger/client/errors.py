"""What can go wrong for a client: one class for each thing that a caller can do about it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from ledger.client.outcomes import Outcome


class ClientError(Exception):
    """Something that was asked of the ledger was not done, or is not known to be."""


class InvalidEventError(ClientError):
    """What was to be sent is no event, or one that the ledger would refuse whatever its books say; nothing was
    sent. `reason` is one of the reasons of dead letters or of refusals."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RejectedError(ClientError):
    """The books refused the event: its id is used up, and nothing else has changed."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.event_type} {outcome.event_id} was refused: {outcome.reason}")
        self.outcome = outcome

    @property
    def reason(self) -> str:
        return self.outcome.reason or ""


class NotAnsweredError(ClientError):
    """Events are in Kafka and will be handled, and outcomes of some of them did not come in time. Sending the same
    events again is safe, and waits for them anew."""

    def __init__(self, outcomes: Mapping[str, Outcome], pending: Sequence[str]) -> None:
        super().__init__(f"{len(pending)} of {len(pending) + len(outcomes)} outcomes did not come in time")
        self.outcomes = outcomes
        """Those that came, by event id."""
        self.pending = pending
        """Ids of the others."""


class UnavailableError(ClientError):
    """The ledger could not be reached, or was too busy, until the deadline. What was sent may have arrived: sending
    the same events again is safe."""

    outcomes: Mapping[str, Outcome] = MappingProxyType({})
    """Those that came before it went wrong, by event id."""

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class UnreadableError(ClientError):
    """An answer is not one of the ledger's: perhaps the address is another server's."""


class ProblemError(ClientError):
    """The API answered with a problem document (RFC 9457). Go by `code`; one that is not known, by `status`."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail") or document.get("title") or "")
        self.members = document
        """All that the document holds: `faults`, `errors`, `correlation_id` …"""
        Exception.__init__(self, f"{status} {self.code}: {self.detail}")

    @property
    def correlation_id(self) -> str | None:
        """Name it to whoever runs the ledger: it stands in its log."""
        return self.members.get("correlation_id")


class UnauthorizedError(ProblemError):
    """The key is not good, or may not do this."""


class MissingError(ProblemError):
    """What was asked for is not there, or not yet."""


class BusyError(ProblemError, UnavailableError):
    """More is asked than the ledger can do now, or a part of it is away: 429 or 503, until the deadline."""

    def __init__(
        self, status: int, document: Mapping[str, Any], *, retry_after_s: float | None = None
    ) -> None:
        ProblemError.__init__(self, status, document)
        self.retry_after_s = retry_after_s


@contextmanager
def carrying(outcomes: Mapping[str, Outcome]) -> Iterator[None]:
    """Have an UnavailableError tell the outcomes that are known when it is raised."""
    try:
        yield
    except UnavailableError as error:
        error.outcomes = outcomes
        raise


def problem_of(status: int, document: Mapping[str, Any], retry_after_s: float | None) -> ProblemError:
    """Give the error for an answer, by its status."""
    if status in (429, 502, 503, 504):
        return BusyError(status, document, retry_after_s=retry_after_s)
    if status in (401, 403):
        return UnauthorizedError(status, document)
    return (MissingError if status == 404 else ProblemError)(status, document)
