"""The mix of the demonstration: transfers, fees, holds, reversals, payments, refusals, repeats and dead letters."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson

from loadtests.expected import ExpectedBooks
from loadtests.workloads.reckoning import Reckoning
from loadtests.workloads.records import IDS_A_MS, Record
from streams.demo.mix import TENANT, Mix

CUSTOMERS = 10_000
CALLS_AN_EVENT = 2
_EXPIRES = re.compile(rb'("expires_at":)"[^"]+"')
SOME_MS = 2**40
"""A time for ids that are only told apart."""


class _Clock:
    """Goes on a little with each look, and ends at a time."""

    def __init__(self, count: int, at_ms: int) -> None:
        self._at_ms = at_ms
        self._left = CALLS_AN_EVENT * count

    def __call__(self) -> datetime:
        self._left = max(0, self._left - 1)
        return datetime.fromtimestamp((self._at_ms - self._left // IDS_A_MS) / 1000, UTC)


class _LongMix(Mix):
    """The mix over as many customers, however many events there are."""

    def __init__(self, count: int, seed: int, at_ms: int) -> None:
        super().__init__(count + CUSTOMERS + 1, seed, _Clock(count + CUSTOMERS, at_ms))
        self._customers = [f"customer:{number:05}" for number in range(CUSTOMERS)]


class Mixed:
    """The mix, but that no hold runs out of time, and money comes under the key of who spends it.

    So its books do not depend on how fast it is handled, nor on the order between partitions.
    """

    name = "mixed"
    ground = None
    needs = frozenset({"payments"})

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund the customers."""
        opening = _LongMix(0, 2 * seed, at_ms - 1000).opening()
        next(
            opening
        )  # an account that opens itself with its first fee, in whichever partition that comes first
        for sent in opening:
            customer: str = orjson.loads(sent.value)["data"]["credit"]
            yield Record(f"{TENANT}/{customer}".encode(), sent.value)

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make the rest."""
        tomorrow = datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(days=1)
        expires = rb'\1"%s"' % tomorrow.isoformat().encode()
        for key, value in _LongMix(count, 2 * seed + 1, at_ms).payments():
            later = _EXPIRES.sub(expires, value) if b'"expires_at"' in value else value
            yield Record(key, later)

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Reckon them one after another."""
        return self._reckoning(count, seed).books

    def _reckoning(self, count: int, seed: int) -> Reckoning:
        reckoning = Reckoning()
        for stream in (self.preamble(seed, SOME_MS), self.records(count, seed, SOME_MS)):
            for record in stream:
                reckoning.take(record.value)
        reckoning.end()
        return reckoning
