"""Quotas: how many requests and events a second each tenant may send to this process."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

import msgspec

from ledger.api.facts import RequestFacts
from ledger.api.problems import RateLimitedError
from ledger.application.access import Caller
from ledger.observability.signals import Signals

BURST_S = 2
"""What was not used in so many seconds may be used at once."""
TENANTS_MAX = 10_000


class Allowance(NamedTuple):
    """What a bucket answers; `retry_s` is 0 where the request was let in."""

    left: int
    full_in_s: float
    retry_s: float


class _Bucket(msgspec.Struct):
    tokens: float
    at: float


class TokenBuckets:
    """A bucket for each tenant, or whoever else, filled with `rate` tokens a second up to `BURST_S` seconds' worth."""

    def __init__(self, rate: float, *, tenants_max: int = TENANTS_MAX) -> None:
        self._rate = rate
        self.size = rate * BURST_S
        self._tenants_max = tenants_max
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, whose: Hashable, count: int, now: float) -> Allowance:
        """Take `count` tokens, or none. More than a bucket holds is let in by a full one, which is empty for longer."""
        bucket = self._bucket(whose, now)
        bucket.tokens = min(self.size, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        missing = min(count, self.size) - bucket.tokens
        if missing > 0:
            return self._allowance(bucket, missing / self._rate)
        bucket.tokens -= count
        return self._allowance(bucket, 0.0)

    def _bucket(self, whose: Hashable, now: float) -> _Bucket:
        bucket = self._buckets.get(whose)
        if bucket is None:
            bucket = self._buckets[whose] = _Bucket(self.size, now)
            if len(self._buckets) > self._tenants_max:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(whose)
        return bucket

    def _allowance(self, bucket: _Bucket, retry_s: float) -> Allowance:
        return Allowance(max(0, int(bucket.tokens)), (self.size - bucket.tokens) / self._rate, retry_s)


class Quotas:
    """The quotas of all tenants; a rate of 0 lets everything in."""

    def __init__(
        self, requests_s: float, events_s: float, signals: Signals, monotonic: Callable[[], float]
    ) -> None:
        self._signals = signals
        self._monotonic = monotonic
        rates = {"requests": requests_s, "events": events_s}
        self._buckets = {name: TokenBuckets(rate) for name, rate in rates.items() if rate}
        self._policy = ", ".join(
            f'"{name}";q={max(1, int(buckets.size))};w={BURST_S}' for name, buckets in self._buckets.items()
        )

    def admit_request(self, caller: Caller, facts: RequestFacts) -> None:
        """Count a request. Raises RateLimitedError."""
        self._admit("requests", caller, 1, facts)

    def admit_events(self, caller: Caller, count: int, facts: RequestFacts) -> None:
        """Count events, before anything is done with them. Raises RateLimitedError."""
        self._admit("events", caller, count, facts)

    def _admit(self, what: str, caller: Caller, count: int, facts: RequestFacts) -> None:
        buckets = self._buckets.get(what)
        if buckets is None:
            return
        allowance = buckets.take(caller.tenant_id, count, self._monotonic())
        facts.headers["RateLimit-Policy"] = self._policy
        told = f'"{what}";r={allowance.left};t={math.ceil(allowance.full_in_s)}'
        before = facts.headers.get("RateLimit")
        facts.headers["RateLimit"] = told if before is None else f"{before}, {told}"
        if allowance.retry_s:
            self._signals.emit("request.rate_limited", tenant=caller.tenant, what=what)
            retry = {"Retry-After": str(max(1, math.ceil(allowance.retry_s)))}
            raise RateLimitedError(f"More {what} a second than the tenant may send.", headers=retry)


class RefusedSenders:
    """Keyless senders by address: one whose webhooks were refused too often is not looked at for a while.

    Of IPv6 the first 64 bits count: whoever has one such address has all that begin so.
    """

    def __init__(self, refused_s: float, signals: Signals, monotonic: Callable[[], float]) -> None:
        self._buckets = TokenBuckets(refused_s) if refused_s else None
        self._signals = signals
        self._monotonic = monotonic

    def admit(self, address: str) -> None:
        """Let a sender in who was not refused too often. Raises RateLimitedError."""
        if self._buckets is None or self._buckets.take(_origin(address), 0, self._monotonic()).left:
            return
        self._signals.emit("request.rate_limited", tenant=None, what="webhooks")
        raise RateLimitedError("Too many webhooks from there were not signed.", headers={"Retry-After": "1"})

    def refused(self, address: str) -> None:
        """Count one that was refused."""
        if self._buckets is not None:
            self._buckets.take(_origin(address), 1, self._monotonic())


def _origin(address: str) -> Hashable:
    """Tell whose an address is; one that is none, as that of a socket file, is its own."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return found
    return found.ipv4_mapped or int(found) >> 64
