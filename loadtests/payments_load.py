"""Payments to load the ledger with, and what was asked for: the truth that books are compared with."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from ledger.adapters.system import new_event_id
from ledger.client import NewEvent, transfer
from ledger.contract.outgoing import HEADERS, record_key
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.embedded.programs import SIMULATED
from streams.transport.publisher import Outgoing

ASSET = "USD/2"
BANK = "external:bank"
FEES = "fees"
FUNDS = 10**12


@dataclass(frozen=True, slots=True)
class Asked:
    """One payment that was requested, in minor units."""

    debit: str
    credit: str
    amount: int
    fee: int


class PaymentLoad:
    """Payments of many customers to many shops; some to an account that is closed before its capture comes."""

    def __init__(self, topic: str, *, seed: int, customers: int, refunded_share: float = 0.0) -> None:
        self._topic = topic
        self._random = Random(seed)
        self._customers = customers
        self._refunded_share = refunded_share
        self.asked: dict[str, Asked] = {}

    def funding(self) -> list[NewEvent]:
        """Give each customer more than it will ever pay."""
        return [
            transfer(BANK, f"customer:{number}", FUNDS, ASSET, source="loadtests")
            for number in range(self._customers)
        ]

    def make(self, count: int) -> list[Outgoing]:
        """Make requests, and what belongs to them; their ids hold the time of now."""
        return [record for _ in range(count) for record in self._payment()]

    def _payment(self) -> Sequence[Outgoing]:
        debit = f"customer:{self._random.randrange(self._customers)}"
        if self._random.random() >= self._refunded_share:
            return [self._request(debit, f"shop:{self._random.randrange(100)}")]
        shut = f"shut:{len(self.asked)}"
        # Under one key these keep their order, so the account is closed whenever the capture comes.
        return [
            self._event(debit, "account.open.v1", {"account": shut}),
            self._request(debit, shut),
            self._event(debit, "account.close.v1", {"account": shut}),
        ]

    def _request(self, debit: str, credit: str) -> Outgoing:
        asked = Asked(debit, credit, self._random.randrange(100, 10_000), self._random.randrange(0, 20))
        payment = new_event_id()
        self.asked[payment] = asked
        fee = {"fee": {"account": FEES, "amount": asked.fee}} if asked.fee else {}
        data = {**_money(asked.amount), "debit": debit, "credit": credit, "provider": SIMULATED, **fee}
        return self._event(debit, "payment.request.v1", data, payment)

    def _event(self, ordered_by: str, kind: str, data: dict[str, Any], event_id: str = "") -> Outgoing:
        body = {
            "specversion": "1.0",
            "id": event_id or new_event_id(),
            "source": "loadtests",
            "type": kind,
            "tenant": TENANT,
            "data": data,
        }
        return Outgoing(self._topic, record_key(TENANT, ordered_by), orjson.dumps(body), HEADERS)


def expected_balances(settled: Sequence[Asked], customers: int) -> Counter[str]:
    """Work out what each account has, from what was asked for and settled."""
    balances = Counter({f"customer:{number}": FUNDS for number in range(customers)})
    balances[BANK] -= customers * FUNDS
    for each in settled:
        balances[each.debit] -= each.amount
        balances[each.credit] += each.amount - each.fee
        balances[FEES] += each.fee
    return balances


def _money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "asset": ASSET}
