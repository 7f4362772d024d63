"""Workloads of transfers, which differ in who pays whom."""

from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from random import Random
from typing import NamedTuple

from loadtests.expected import ExpectedBooks
from loadtests.workloads.records import (
    ASSET,
    BANK,
    FUNDS,
    TENANT,
    Ground,
    Ids,
    Record,
    customer,
    funding,
    round_amount,
    transfer,
)

AMOUNT_MAX = 9_999
AT_ONCE = 4096


class Move(NamedTuple):
    """Who pays whom, in minor units."""

    debit: str
    credit: str
    amount: int


Chooser = Callable[[Random, int], Iterator[tuple[str, str]]]
"""Gives pairs of payer and payee without end, of so many customers."""


class Transfers:
    """Transfers between funded customers; none is refused."""

    def __init__(
        self,
        name: str,
        choose: Chooser,
        *,
        customers: int = 10_000,
        grown: bool = False,
        rounds: int = 0,
        needs: frozenset[str] = frozenset(),
        tenant: str = TENANT,
    ) -> None:
        self.name = name
        self.customers = customers
        self.needs = needs
        self.tenant = tenant
        self.ground = Ground(customers, rounds) if grown else None
        self._choose = choose

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund the customers, unless they stand already."""
        return funding(0 if self.ground else self.customers, seed, at_ms, self.tenant)

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make the transfers."""
        ids = Ids(f"{self.name} {self.tenant} {seed}", count, at_ms)
        return (transfer(ids.next(), *move, self.tenant) for move in self.moves(count, seed))

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Add up what was moved."""
        books = ExpectedBooks()
        self.expect(books, count, seed)
        return books

    def expect(self, books: ExpectedBooks, count: int, seed: int) -> None:
        """Add it to books."""
        expect_funding(books, self.customers, self.tenant)
        if self.ground:
            expect_rounds(books, self.ground)
            books.ground_ends()
        for move in self.moves(count, seed):
            books.move((self.tenant, move.debit, ASSET), -move.amount)
            books.move((self.tenant, move.credit, ASSET), move.amount)
        books.transfers(count)

    def moves(self, count: int, seed: int) -> Iterator[Move]:
        """Say who pays whom."""
        chance = Random(f"{self.name} moves {seed}")
        pairs, random = self._choose(Random(f"{self.name} pairs {seed}"), self.customers), chance.random
        return (Move(debit, credit, 1 + int(random() * AMOUNT_MAX)) for debit, credit in islice(pairs, count))


def expect_funding(books: ExpectedBooks, customers: int, tenant: str = TENANT) -> None:
    """Add what the funding of customers comes to."""
    books.move((tenant, BANK, ASSET), -customers * FUNDS, customers)
    for number in range(customers):
        books.move((tenant, customer(number), ASSET), FUNDS)
    books.transfers(customers)


def expect_rounds(books: ExpectedBooks, ground: Ground) -> None:
    """Add what the rounds of a ground come to."""
    moved = sum(round_amount(number) for number in range(ground.rounds))
    for number in range(ground.accounts if ground.rounds else 0):
        books.move((TENANT, customer(number), ASSET), -moved, ground.rounds)
        books.move((TENANT, customer(number), ASSET), moved, ground.rounds)
    books.transfers(ground.accounts * ground.rounds)


def evenly(chance: Random, customers: int) -> Iterator[tuple[str, str]]:
    """Everybody pays anybody, each as likely as any other."""
    names, random = [customer(number) for number in range(customers)], chance.random
    while True:
        debit, credit = int(random() * customers), int(random() * (customers - 1))
        yield names[debit], names[credit + (credit >= debit)]


def by_zipf(chance: Random, customers: int) -> Iterator[tuple[str, str]]:
    """The account of rank n pays, and is paid, in proportion to 1/n."""
    names = [customer(number) for number in range(customers)]
    weights = list(accumulate(1 / rank for rank in range(1, customers + 1)))
    while True:
        debits = chance.choices(names, cum_weights=weights, k=AT_ONCE)
        credits_ = chance.choices(names, cum_weights=weights, k=AT_ONCE)
        yield from (pair for pair in zip(debits, credits_, strict=True) if pair[0] != pair[1])


def to_one_merchant(chance: Random, customers: int) -> Iterator[tuple[str, str]]:
    """All pay the same merchant."""
    names = [customer(number) for number in range(customers)]
    while True:
        yield chance.choice(names), "merchant:hot"
