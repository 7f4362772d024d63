"""A realistic mix of payments: pure and seeded, so that one seed is one stream of events."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import orjson

from ledger.contract.outgoing import record_key
from ledger.domain.moments import milliseconds
from streams.embedded.programs import SIMULATED

TENANT = "shop"
ASSET = "EUR/2"
SOURCE = "demo/checkout"
HOT_SHARE = 0.4
"""This part of all transfers goes to three merchants."""
SHUT_SHARE = 0.03
"""This part of all payments by a provider goes to an account that is closed meanwhile: the provider has to refund."""
FUNDS_MINOR = 500_000_00
RECENT_MAX = 2000


class Sent(NamedTuple):
    """One record for the topic of payments."""

    key: bytes | None
    value: bytes


class Recent(NamedTuple):
    """Something that a later event may refer to."""

    id: str
    account: str
    amount: int


class Mix:
    """Generates `count` events over some customers and merchants; `tally` counts what it made, by kind."""

    def __init__(self, count: int, seed: int, clock: Callable[[], datetime]) -> None:
        self._count = count
        self._random = Random(seed)  # noqa: S311 - a workload, not a secret
        self._clock = clock
        self._customers = [f"customer:{number:05}" for number in range(max(20, min(10_000, count // 20)))]
        self._merchants = [f"merchant:{number:03}" for number in range(50)]
        self._holds: deque[Recent] = deque(maxlen=RECENT_MAX)
        self._transfers: deque[Recent] = deque(maxlen=RECENT_MAX)
        self._recent: deque[Sent] = deque(maxlen=RECENT_MAX)
        self._next: deque[Sent] = deque()
        self.tally: Counter[str] = Counter()
        self._kinds, self._weights = zip(*self._makers(), strict=True)

    def opening(self) -> Iterator[Sent]:
        """Give the first events, which the others build on: accounts opened, customers funded."""
        yield self._event(
            "account.open.v1", "fees:card", {"account": "fees:card", "metadata": {"team": "finance"}}
        )
        for customer in self._customers:
            data = {"debit": "external:bank", "credit": customer, "amount": FUNDS_MINOR, "asset": ASSET}
            self.tally["funding"] += 1
            yield self._event("transfer.post.v1", "external:bank", {**data, "reference": "top-up"})

    def payments(self) -> Iterator[Sent]:
        """Give the rest, up to `count` events in all."""
        for _ in range(max(0, self._count - len(self._customers) - 1)):
            if self._next:
                yield self._next.popleft()
                continue
            make = self._random.choices(self._kinds, self._weights)[0]
            self.tally[make.__name__.removeprefix("_")] += 1
            sent = make()
            self._recent.append(sent)
            yield sent

    def _makers(self) -> list[tuple[Callable[[], Sent], float]]:
        return [
            (self._transfer, 61.0),
            (self._payment_with_fee, 12.0),
            (self._outside_payment, 5.0),
            (self._hold, 5.0),
            (self._capture, 3.0),
            (self._void, 1.0),
            (self._reversal, 2.0),
            (self._overdraft, 3.0),
            (self._duplicate, 5.0),
            (self._reused_id, 0.5),
            (self._poison, 0.5),
        ]

    # Events

    def _id(self) -> str:
        now_ms = milliseconds(self._clock())
        noise = self._random.getrandbits(74)
        stamp = f"{now_ms:012x}"
        tail = f"{noise & (1 << 62) - 1:016x}"
        variant = f"{8 | int(tail[0], 16) & 3:x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{noise >> 62:03x}-{variant}{tail[1:4]}-{tail[4:]}"

    def _event(
        self, event_type: str, account: str, data: dict[str, Any], event_id: str | None = None
    ) -> Sent:
        body = {
            "specversion": "1.0",
            "id": event_id or self._id(),
            "source": SOURCE,
            "type": event_type,
            "tenant": TENANT,
            "data": data,
        }
        return Sent(record_key(TENANT, account), orjson.dumps(body))

    def _customer(self) -> str:
        return self._random.choice(self._customers)

    def _merchant(self) -> str:
        hot = self._random.random() < HOT_SHARE
        return self._random.choice(self._merchants[:3] if hot else self._merchants)

    def _amount(self) -> int:
        return 1 + int(self._random.expovariate(1 / 2500))

    def _transfer(self) -> Sent:
        event_id, customer, amount = self._id(), self._customer(), self._amount()
        self._transfers.append(Recent(event_id, customer, amount))
        data = {"debit": customer, "credit": self._merchant(), "amount": amount, "asset": ASSET}
        reference = f"order-{self._random.randrange(10**8):08}"
        return self._event("transfer.post.v1", customer, {**data, "reference": reference}, event_id)

    def _payment_with_fee(self) -> Sent:
        customer, amount = self._customer(), self._amount() + 50
        fee = max(1, amount // 50)
        lines = [(customer, -amount), (self._merchant(), amount - fee), ("fees:card", fee)]
        entries = [{"account": code, "asset": ASSET, "amount": moved} for code, moved in lines]
        return self._event("transaction.post.v1", customer, {"entries": entries})

    def _outside_payment(self) -> Sent:
        """Ask for money that a provider moves."""
        customer, amount = self._customer(), self._amount() + 50
        if self._random.random() < SHUT_SHARE:
            return self._payment_that_must_come_back(customer, amount)
        return self._request(customer, self._merchant(), amount)

    def _payment_that_must_come_back(self, customer: str, amount: int) -> Sent:
        """Close the account that it goes to before it can be captured: under one key, they keep their order."""
        shut = f"shut:{self._random.getrandbits(40):010x}"
        self._next.append(self._request(customer, shut, amount))
        self._next.append(self._event("account.close.v1", customer, {"account": shut}))
        return self._event("account.open.v1", customer, {"account": shut})

    def _request(self, customer: str, credit: str, amount: int) -> Sent:
        fee = {"account": "fees:card", "amount": max(1, amount // 50)}
        data = {"debit": customer, "credit": credit, "amount": amount, "asset": ASSET}
        return self._event("payment.request.v1", customer, {**data, "provider": SIMULATED, "fee": fee})

    def _hold(self) -> Sent:
        event_id, customer, amount = self._id(), self._customer(), self._amount() + 1
        data = {"debit": customer, "credit": self._merchant(), "amount": amount, "asset": ASSET}
        if self._random.random() < 0.3:
            ends = self._clock() + timedelta(seconds=self._random.uniform(2, 6))
            data["expires_at"] = ends.astimezone(UTC).isoformat()
        self._holds.append(Recent(event_id, customer, amount))
        return self._event("hold.place.v1", customer, data, event_id)

    def _capture(self) -> Sent:
        if not self._holds:
            return self._transfer()
        hold = self._random.choice(self._holds)
        data: dict[str, Any] = {"hold": hold.id}
        if self._random.random() < 0.5:
            data |= {"amount": max(1, hold.amount // 2), "final": self._random.random() < 0.5}
        return self._event("hold.capture.v1", hold.account, data)

    def _void(self) -> Sent:
        if not self._holds:
            return self._transfer()
        hold = self._random.choice(self._holds)
        return self._event("hold.void.v1", hold.account, {"hold": hold.id})

    def _reversal(self) -> Sent:
        if not self._transfers:
            return self._transfer()
        transfer = self._random.choice(self._transfers)
        data: dict[str, Any] = {"transaction": transfer.id}
        if self._random.random() < 0.5:
            data["amount"] = max(1, transfer.amount // 3)
        return self._event("transaction.reverse.v1", transfer.account, data)

    def _overdraft(self) -> Sent:
        customer = self._customer()
        data = {"debit": customer, "credit": self._merchant(), "amount": 10 * FUNDS_MINOR, "asset": ASSET}
        return self._event("transfer.post.v1", customer, data)

    # What goes wrong between a producer and a topic

    def _duplicate(self) -> Sent:
        return self._random.choice(self._recent) if self._recent else self._transfer()

    def _reused_id(self) -> Sent:
        if not self._transfers:
            return self._transfer()
        transfer = self._random.choice(self._transfers)
        data = {"debit": transfer.account, "credit": "merchant:000", "amount": 1, "asset": "EUR/2"}
        return self._event("transfer.post.v1", transfer.account, {**data, "reference": "again"}, transfer.id)

    def _poison(self) -> Sent:
        transfer = self._transfer()
        poisons: list[bytes] = [
            b"not json",
            b'{"specversion":"1.0","id":"\xff\xfe"}',
            transfer.value.replace(b'"amount":', b'"amount":1.'),
            transfer.value.replace(b"transfer.post.v1", b"transfer.post.v9"),
            transfer.value.replace(b"transfer.post.v1", b"transfer.undo.v1"),
            transfer.value.replace(b"EUR/2", b"EUR/3"),
            b"[" * 5000,
        ]
        return Sent(transfer.key, self._random.choice(poisons))
