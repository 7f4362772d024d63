"""Providers as readers see them: how they are set, and how the breakers of the workers stand. Never their secrets."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from ledger.application.breaker import BreakerState

STALE_S = 15.0
"""What a worker told longer ago does not count: it has stopped, or asks that provider no more."""


class BreakerTold(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker's breaker of a provider stands; of one that is not closed, `bad` of `calls` opened it.

    One that was opened by no calls at all is that of a provider that cannot be called as it is set, or is not there.
    """

    tenant: str
    provider: str
    worker: str
    state: BreakerState
    since: datetime
    retry_at: datetime | None
    """When it tries again; none unless it is open."""
    calls: int
    bad: int
    told_at: datetime


class ProviderShown(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a provider."""

    tenant: str
    name: str
    url: str
    """Scheme, host and port."""
    when_down: str


class BreakerBoard(Protocol):
    """Where workers tell how their breakers stand."""

    async def tell(self, worker: str, breakers: Sequence[BreakerTold], forget_before: datetime) -> None:
        """Put these in place of all that the worker told, and drop what anybody told before a time.

        May raise TransientFaultError.
        """
        ...


class ProviderReader(Protocol):
    """Reads what may be seen. Methods may raise TransientFaultError, OverloadedError."""

    async def providers(self) -> Sequence[ProviderShown]:
        """List providers by tenant and name."""
        ...

    async def breakers(self, since: datetime) -> Sequence[BreakerTold]:
        """List what was told at or after a time, by tenant, provider and worker."""
        ...


def fresh_since(now: datetime) -> datetime:
    """Since when what was told counts."""
    return now - timedelta(seconds=STALE_S)


def none_passes(states: Collection[BreakerState]) -> bool:
    """Whether no calls pass by breakers in these states.

    One that may try has not recovered: with few payments it is a while until somebody does.
    """
    return BreakerState.CLOSED not in states


def shut(breakers: Sequence[BreakerTold], tenant: str, provider: str) -> BreakerTold | None:
    """Give the breaker of a provider that tries again last; None where somebody's calls pass."""
    its = [each for each in breakers if (each.tenant, each.provider) == (tenant, provider)]
    if not its or not none_passes([each.state for each in its]):
        return None
    return max(its, key=lambda each: each.retry_at or each.since)


def origin(url: str) -> str:
    """Cut a URL down to scheme, host and port: whatever else stands in it may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" if host else ""
