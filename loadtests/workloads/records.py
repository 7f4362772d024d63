"""What a workload is: records that a seed makes, and the books that they must end in."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple, Protocol

import orjson

from loadtests.expected import ExpectedBooks

TENANT = "acme"
NOISY_TENANT = "noisy"
ASSET = "USD/2"
BANK = "external:bank"
FUNDS = 10**12
"""What each payer is given first: no workload of any length uses it up."""

IDS_A_MS = 20
"""How many ids have the same millisecond: as of a producer that sends twenty thousand a second."""

_TAIL = (1 << 62) - 1


class Record(NamedTuple):
    """One record for the topic of payments; `key` orders it behind others of the same account."""

    key: bytes | None
    value: bytes


class Ground(NamedTuple):
    """Accounts that stand before the first record, each funded once: too many to be opened by events each time.

    In each round every one of them has paid another, and was paid by another: `round_amount`.
    """

    accounts: int
    rounds: int = 0
    prefix: str = "customer:"
    funds: int = FUNDS

    @property
    def entries(self) -> int:
        return 2 * self.accounts * (1 + self.rounds)


def round_amount(number: int) -> int:
    """What each pays in a round of the ground, in minor units."""
    return 1 + number % 97


class Workload(Protocol):
    """A named stream of events: the same count, seed and time give the same bytes.

    `preamble` is handled whole, and is not measured: it opens and funds accounts. `at_ms` (milliseconds since
    1970) is the time of the newest id; the others are a little older, and none is from the future. Its order is
    kept only between records of one key, so its books must not depend on any other.
    """

    @property
    def name(self) -> str: ...

    @property
    def ground(self) -> Ground | None: ...

    @property
    def needs(self) -> frozenset[str]:
        """What runs beside posting: `payments`, `api`, `reads` of it, `noise` of another tenant's."""
        ...

    def preamble(self, seed: int, at_ms: int) -> Iterator[Record]: ...

    def records(self, count: int, seed: int, at_ms: int) -> Iterator[Record]: ...

    def expected(self, count: int, seed: int) -> ExpectedBooks:
        """The books after the preamble and `count` records, with what stood before them."""
        ...


class Ids:
    """UUIDv7 ids by a seed, which end at a time."""

    def __init__(self, seed: str, count: int, at_ms: int) -> None:
        self._random = Random(seed)
        self._first_ms = at_ms - count // IDS_A_MS
        self._made = 0

    def next(self) -> str:
        """Make the next one."""
        stamp = f"{self._first_ms + self._made // IDS_A_MS:012x}"
        self._made += 1
        noise = self._random.getrandbits(74)
        tail = f"{0x8000000000000000 | noise & _TAIL:016x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{noise >> 62:03x}-{tail[:4]}-{tail[4:]}"


def transfer(
    event_id: str, debit: str, credit: str, amount: int, tenant: str = TENANT, key: str = ""
) -> Record:
    """Encode one transfer; a text is several times as fast as any encoder, and its parts need no escapes."""
    value = (
        f'{{"specversion":"1.0","id":"{event_id}","source":"loadtests","type":"transfer.post.v1",'
        f'"tenant":"{tenant}","data":{{"debit":"{debit}","credit":"{credit}","amount":{amount},"asset":"{ASSET}"}}}}'
    )
    return Record(f"{tenant}/{key or debit}".encode(), value.encode())


def event(
    event_id: str, kind: str, data: dict[str, Any], key: str, tenant: str = TENANT, source: str = "loadtests"
) -> Record:
    """Encode any event."""
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
        "tenant": tenant,
        "data": data,
    }
    return Record(f"{tenant}/{key}".encode(), orjson.dumps(body))


def customer(number: int) -> str:
    """Name an account."""
    return f"customer:{number}"


def funding(customers: int, seed: int, at_ms: int, tenant: str = TENANT) -> Iterator[Record]:
    """Fund each customer, under the customer's own key: so what it spends comes after, in any partition."""
    ids = Ids(f"funding {tenant} {seed}", customers, at_ms - 1000)
    for number in range(customers):
        yield transfer(ids.next(), BANK, customer(number), FUNDS, tenant, key=customer(number))
