"""Workloads that are made of transfers, but are more than that: repeated, of many lines, of two tenants."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from random import Random

from loadtests.expected import ExpectedBooks
from loadtests.workloads.records import ASSET, NOISY_TENANT, TENANT, Ids, Record, customer, event, funding
from loadtests.workloads.transfers import AMOUNT_MAX, Transfers, evenly, expect_funding


class Noisy:
    """A tenant that sends far more than its share, and a quiet one: each has its own accounts."""

    name = "noisy_tenant"
    ground = None
    needs = frozenset({"api", "noise"})
    TIMES = 50

    def __init__(self) -> None:
        self._quiet = Transfers(self.name, evenly)
        self._noisy = Transfers(self.name, evenly, tenant=NOISY_TENANT)

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund both."""
        return chain(self._quiet.preamble(seed, at_ms), self._noisy.preamble(seed, at_ms))

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make them in turn: so many of the one, then one of the other."""
        quiet = self._quiet.records(self._of_quiet(count), seed, at_ms)
        noisy = self._noisy.records(count - self._of_quiet(count), seed, at_ms)
        every = self.TIMES + 1
        return (next(noisy) if number % every < self.TIMES else next(quiet) for number in range(count))

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Add up both."""
        books = ExpectedBooks()
        self._quiet.expect(books, self._of_quiet(count), seed)
        self._noisy.expect(books, count - self._of_quiet(count), seed)
        return books

    def _of_quiet(self, count: int) -> int:
        return count // (self.TIMES + 1)


class Duplicates:
    """Transfers of which a share is sent again: soon, or after thousands of others."""

    name = "duplicates"
    ground = None
    needs: frozenset[str] = frozenset()

    def __init__(self, share: float = 0.3, remembered: int = 10_000) -> None:
        self._share = share
        self._remembered = remembered
        self._inner = Transfers(self.name, evenly)

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund the customers."""
        return self._inner.preamble(seed, at_ms)

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make the transfers, and repeat some."""
        fresh = self._inner.records(count, seed, at_ms)
        recent: deque[Record] = deque(maxlen=self._remembered)
        chance = Random(f"{self.name} which {seed}")
        for again in self._again(count, seed):
            if again:
                yield recent[int(chance.random() * len(recent))]
            else:
                recent.append(next(fresh))
                yield recent[-1]

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Add up those that were sent for the first time."""
        repeats = sum(self._again(count, seed))
        books = self._inner.expected(count - repeats, seed)
        books.repeats = repeats
        return books

    def _again(self, count: int, seed: int) -> Iterator[bool]:
        chance = Random(f"{self.name} again {seed}").random
        return (number > 0 and chance() < self._share for number in range(count))


class MultiEntry:
    """Transactions in which one customer pays several others."""

    name = "multi_entry"
    ground = None
    needs: frozenset[str] = frozenset()
    PAYEES_MIN, PAYEES_MAX = 2, 7

    def __init__(self, customers: int = 10_000) -> None:
        self._customers = customers

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund the customers."""
        return funding(self._customers, seed, at_ms)

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make the transactions."""
        ids = Ids(f"{self.name} {seed}", count, at_ms)
        for lines in self._transactions(count, seed):
            entries = [{"account": code, "asset": ASSET, "amount": amount} for code, amount in lines]
            yield event(ids.next(), "transaction.post.v1", {"entries": entries}, lines[0][0])

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Add up the lines."""
        books = ExpectedBooks()
        expect_funding(books, self._customers)
        for lines in self._transactions(count, seed):
            for code, amount in lines:
                books.move((TENANT, code, ASSET), amount)
        books.transfers(count)
        return books

    def _transactions(self, count: int, seed: int) -> Iterator[list[tuple[str, int]]]:
        """Give the lines of each, the payer's first."""
        chance = Random(f"{self.name} {seed}")
        numbers = range(self._customers)
        for _ in range(count):
            payer, *payees = chance.sample(numbers, 1 + chance.randint(self.PAYEES_MIN, self.PAYEES_MAX))
            lines = [(customer(payee), 1 + int(chance.random() * AMOUNT_MAX)) for payee in payees]
            yield [(customer(payer), -sum(amount for _, amount in lines)), *lines]
