"""Payments through the provider of the stack, which accepts all: some must come back, as their payee is closed."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from loadtests.expected import ExpectedBooks
from loadtests.workloads.records import ASSET, TENANT, Ids, Record, customer, event, funding
from loadtests.workloads.transfers import expect_funding

PROVIDER = "simulated"
FEES = "fees"
SHOPS = 100
SHUT_SHARE = 0.01
"""So many payments go to an account that is closed before their capture comes: the provider has to refund."""


class Asked(NamedTuple):
    """One payment, in minor units."""

    debit: str
    credit: str
    amount: int
    fee: int
    refunded: bool


class Payments:
    """Payments of many customers to some shops."""

    name = "payments"
    ground = None
    needs = frozenset({"payments"})

    def __init__(self, customers: int = 2000) -> None:
        self._customers = customers

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]:
        """Fund the customers."""
        return funding(self._customers, seed, at_ms)

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]:
        """Make requests, and what belongs to them under the same key, so that it keeps its order."""
        ids = Ids(f"{self.name} {seed}", count, at_ms)
        for asked in self._asked(count, seed):
            account = {"account": asked.credit}
            if asked.refunded:
                yield event(ids.next(), "account.open.v1", account, asked.debit)
            yield event(ids.next(), "payment.request.v1", _data(asked), asked.debit)
            if asked.refunded:
                yield event(ids.next(), "account.close.v1", account, asked.debit)

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """Add up what is settled."""
        books = ExpectedBooks()
        expect_funding(books, self._customers)
        for asked in self._asked(count, seed):
            books.payments += 1
            books.outcomes["posted"] += 3 if asked.refunded else 1
            if asked.refunded:
                expect_refunded(books)
            else:
                expect_settled(books, TENANT, ASSET, asked, FEES)
        return books

    def _asked(self, count: int, seed: int) -> Iterator[Asked]:
        """Give payments until all of `count` records are made."""
        chance = Random(f"{self.name} {seed}")
        made = 0
        while made < count:
            refunded = chance.random() < SHUT_SHARE and made + 3 <= count
            debit, amount, fee = (
                customer(chance.randrange(self._customers)),
                chance.randrange(100, 10_000),
                chance.randrange(20),
            )
            credit = f"shut:{made}" if refunded else f"shop:{chance.randrange(SHOPS)}"
            yield Asked(debit, credit, amount, fee, refunded)
            made += 3 if refunded else 1


def expect_settled(books: ExpectedBooks, tenant: str, asset: str, asked: Asked, fees: str) -> None:
    """Add the capture that settles a payment: one transaction, with its fee."""
    books.move((tenant, asked.debit, asset), -asked.amount)
    books.move((tenant, asked.credit, asset), asked.amount - asked.fee)
    if asked.fee:
        books.move((tenant, fees, asset), asked.fee)
    books.transfers(1)


def expect_refunded(books: ExpectedBooks) -> None:
    """Add the capture that is refused, and the void of its hold once the provider has refunded."""
    books.outcomes["account_closed"] += 1
    books.outcomes["posted"] += 1


def _data(asked: Asked) -> dict[str, Any]:
    data = {"debit": asked.debit, "credit": asked.credit, "amount": asked.amount, "asset": ASSET}
    fee = {"fee": {"account": FEES, "amount": asked.fee}} if asked.fee else {}
    return {**data, "provider": PROVIDER, **fee}
