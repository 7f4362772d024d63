"""What is sent: a seeded mix of everything that a producer may send, good and bad, without end.

Two seeds that are equal give the same records, but for the times in them.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from loadtests.workloads.records import NOISY_TENANT
from streams.demo.mix import TENANT, Mix, Sent

BANK_TENANT = "bank"
BANK_ACCOUNTS = 10
BANK_FUNDS = 10**9
BANK_ASSET = "USD/2"
CUSTOMERS = 400
REMEMBERED = 5000
HUGE_BYTES = 300_000
DEEP = 50_000
TENANTS = (TENANT, BANK_TENANT, NOISY_TENANT)
USUAL: Mapping[str, float] = {
    "mix": 88.0,
    "bank": 8.0,
    "reordered": 1.0,
    "poison": 0.5,
    "unknown": 0.5,
    "again": 2.0,
}
"""Of each kind so many parts; a fault changes them for a while."""

_AMOUNT = re.compile(rb'"amount":\d+')


@dataclass(frozen=True, slots=True)
class Record:
    """One record for the topic of payments, and what kind it is."""

    kind: str
    key: bytes | None
    value: bytes | None


class _EndlessMix(Mix):
    """The mix of the demonstration over some customers, without end."""

    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        super().__init__(2**62, seed, clock)
        self._customers = [f"customer:{number:05}" for number in range(CUSTOMERS)]

    def event(self, kind: str, account: str, data: dict[str, Any], tenant: str = TENANT) -> Sent:
        """Make one event of a tenant's."""
        made = self._event(kind, account, data)
        if tenant == TENANT:
            return made
        body = {**orjson.loads(made.value), "tenant": tenant, "source": "loadtests/chaos"}
        return Sent(f"{tenant}/{account}".encode(), orjson.dumps(body))

    def paying(self) -> Sent:
        """Make a request for a payment that is captured."""
        return self._request(self._customer(), self._merchant(), self._amount() + 50)

    def refunded(self) -> tuple[Sent, Sent, Sent]:
        """Make an account, a payment to it, and its end, which come under one key."""
        opened = self._payment_that_must_come_back(self._customer(), self._amount() + 50)
        closed, requested = self._next.pop(), self._next.pop()
        return opened, requested, closed

    def id_of(self, sent: Sent) -> str:
        """Say which id an event has."""
        return str(orjson.loads(sent.value)["id"])


class Traffic:
    """Makes records by weights."""

    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        self._random = Random(f"traffic {seed}")
        self._clock = clock
        self._mix = _EndlessMix(seed, clock)
        self._stream = self._mix.payments()
        self._recent: deque[Record] = deque(maxlen=REMEMBERED)
        self._next: deque[Record] = deque()
        self._makers: dict[str, Callable[[], Record]] = {
            "mix": self._mixed,
            "bank": self._bank,
            "reordered": self._reordered,
            "poison": self._poison,
            "unknown": self._unknown,
            "again": self._again,
            "conflicting": self._conflicting,
            "noisy": self._noisy,
            "paying": self._paying,
            "refunded": self._refunded,
        }

    def opening(self) -> Iterator[Record]:
        """Give what all others build on: customers and the bank's accounts are funded."""
        yield from (Record("opening", *sent) for sent in self._mix.opening())
        for number in range(BANK_ACCOUNTS):
            yield self._transfer("opening", "external:bank", f"bank:{number}", BANK_FUNDS, BANK_TENANT)

    def next(self, weights: Mapping[str, float]) -> Record:
        """Give one more."""
        if self._next:
            return self._next.popleft()
        kind = self._random.choices(list(weights), list(weights.values()))[0]
        record = self._makers[kind]()
        if record.kind not in ("again", "noisy"):
            self._recent.append(record)
        return record

    def _mixed(self) -> Record:
        return Record("mix", *next(self._stream))

    def _transfer(self, kind: str, debit: str, credit: str, amount: int, tenant: str) -> Record:
        data = {"debit": debit, "credit": credit, "amount": amount, "asset": BANK_ASSET}
        return Record(kind, *self._mix.event("transfer.post.v1", debit, data, tenant))

    def _bank(self) -> Record:
        """Move money inside a closed set of accounts, in either order: their sum stays."""
        debit, credit = (f"bank:{number}" for number in self._random.sample(range(BANK_ACCOUNTS), 2))
        return self._transfer("bank", debit, credit, self._random.randrange(1, 5000), BANK_TENANT)

    def _noisy(self) -> Record:
        account = f"external:{self._random.randrange(50)}"
        return self._transfer("noisy", account, f"shop:{self._random.randrange(5)}", 1, NOISY_TENANT)

    def _paying(self) -> Record:
        """Ask for money that a provider moves."""
        return Record("paying", *self._mix.paying())

    def _refunded(self) -> Record:
        """Ask for money that has to come back, as its payee is closed before it can be captured."""
        opened, requested, closed = self._mix.refunded()
        self._next += [Record("refunded", *requested), Record("refunded", *closed)]
        return Record("refunded", *opened)

    def _reordered(self) -> Record:
        """Send the capture before its hold, and then once more; the hold ends by itself if that is refused."""
        customer, amount = f"customer:{self._random.randrange(CUSTOMERS):05}", self._random.randrange(1, 2000)
        ends = (self._clock() + timedelta(seconds=self._random.uniform(3, 8))).isoformat()
        asked = {"debit": customer, "credit": "merchant:001", "amount": amount, "asset": "EUR/2"}
        hold = self._mix.event("hold.place.v1", customer, {**asked, "expires_at": ends})
        data = {"hold": self._mix.id_of(hold)}
        early, late = (self._mix.event("hold.capture.v1", customer, data) for _ in range(2))
        self._next += [Record("reordered", *hold), Record("reordered", *late)]
        return Record("reordered", *early)

    def _again(self) -> Record:
        """Send the same bytes again."""
        if not self._recent:
            return self._mixed()
        found = self._random.choice(self._recent)
        return Record("again", found.key, found.value)

    def _conflicting(self) -> Record:
        """Send other content under an id that was sent before."""
        original = self._transfer("conflicting", "bank:0", "bank:1", 10, BANK_TENANT)
        changed = _AMOUNT.sub(b'"amount":11', original.value or b"")
        self._next += [Record("conflicting", original.key, changed), original]
        return original

    def _unknown(self) -> Record:
        """Send members and versions that this version does not know."""
        made = self._transfer("unknown", "bank:2", "bank:3", 1, BANK_TENANT)
        body = orjson.loads(made.value or b"")
        changes: list[dict[str, Any]] = [
            {"type": "transfer.post.v2"},
            {"type": "transfer.dance.v1"},
            {"surplus": [1, 2, 3]},
            {"data": {**body["data"], "surplus": {"of": "members"}}},
            {"specversion": "9.9"},
        ]
        return Record("unknown", made.key, orjson.dumps({**body, **self._random.choice(changes)}))

    def _poison(self) -> Record:
        made = self._transfer("poison", "bank:4", "bank:5", 7, BANK_TENANT)
        return Record("poison", made.key, self._random.choice(poisons(made.value or b"")))


def poisons(good: bytes) -> list[bytes | None]:
    """Give what is no event, made of one that is."""
    return [
        b"not json",
        b"\xff\xfe\x00",
        b"",
        None,
        b"null",
        b"[" * DEEP,
        b'{"a":' * DEEP,
        good[: len(good) // 2],
        good.replace(b'"amount":7', b'"amount":NaN'),
        good.replace(b'"amount":7', b'"amount":1e30'),
        good.replace(b'"amount":7', b'"amount":' + b"9" * 31),
        good.replace(b'"amount":7', b'"amount":-7'),
        good.replace(b'"amount":7', b'"amount":7.5'),
        good.replace(b'"amount":7', b'"amount":"7"'),
        good.replace(b"bank:4", b"bank:\xc3\x28"),
        good.replace(b"bank:4", b"bank:\\u0000"),
        good.replace(b"bank:5", b"x" * HUGE_BYTES),
    ]
