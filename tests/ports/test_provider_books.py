"""The provider's book against the payments: every charge and refund belongs to a payment that knows it, once."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from ledger.adapters.postgres.book_audit import PostgresBookAuditor
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.sealing import Seals
from ledger.application.provider_books import BookLine, BookLineError, ProviderBook, read_book_line
from ledger.config import Settings
from ledger.domain.payments.saga import ChargeFact, State
from migrations.run import migrate
from tests.builders import event_id
from tests.ports.conftest import Bench, PostgresLook
from tests.ports.payments import CAPTURING, RELEASING, Office

SCHEMA = "compared"


class Desk:
    """Payments that have been settled, released, refunded, and one whose funds are held."""

    def __init__(self, auditor: PostgresBookAuditor, tenant: str) -> None:
        self.auditor = auditor
        self.tenant = tenant

    def line(self, name: str, kind: str = "charge", **changes: Any) -> BookLine:
        payment = event_id(name)
        facts = {
            "key": f"{self.tenant}:{payment}:{kind}",
            "kind": kind,
            "tenant": self.tenant,
            "payment": payment,
            "amount": 70,
            "asset": "USD/2",
            "state": "accepted",
            "named": f"{kind} of {name}",
            **changes,
        }
        return msgspec.convert(facts, BookLine)

    def sound(self) -> list[BookLine]:
        return [
            self.line("settled"),
            self.line("declined", state="declined", named=""),
            self.line("refunded"),
            self.line("refunded", "refund"),
            self.line("held"),
        ]

    async def found(self, lines: Sequence[BookLine], **more: Any) -> list[str]:
        book = ProviderBook("a book", more.pop("providers", {(self.tenant, "bank")}), runs(lines), **more)
        check = await self.auditor.compare(book)
        assert check.checked <= len(lines)
        assert all(each["book"] == "a book" for each in check.violations)
        return sorted(str(each["what"]) for each in check.violations)


async def runs(lines: Sequence[BookLine]) -> AsyncIterator[Sequence[BookLine]]:
    for start in range(0, len(lines), 2):
        yield lines[start : start + 2]


@pytest.fixture(scope="module")
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    await migrate(postgres_dsn, SCHEMA)
    pool = await open_pool(postgres_dsn, Settings(postgres_schema=SCHEMA), size=4)
    bench = Bench(PostgresBooks(pool), PostgresLook(pool))
    office = Office(
        bench,
        PostgresPayments(pool),
        PostgresPaymentReader.of_all(pool),
        PostgresProviders(pool, Seals([]), auto_open=True),
    )
    await office.accept("held")
    await office.accept("elsewhere", provider="other")
    charged = {"charge": ChargeFact.CHARGED, "charge_reference": "charge of settled"}
    await end(office, "settled", "capture", CAPTURING, {"state": State.SETTLED, **charged})
    await end(office, "declined", "void", RELEASING, {"state": State.RELEASED})
    refunded = {
        "charge": ChargeFact.REFUNDED,
        "charge_reference": "charge of refunded",
        "refund_reference": "refund of refunded",
    }
    await end(office, "refunded", "void", RELEASING, {"state": State.REFUNDED, **refunded})
    yield Desk(PostgresBookAuditor(pool), bench.tenant)
    await pool.close()


async def end(office: Office, name: str, verb: str, way: dict[str, Any], ends: dict[str, Any]) -> None:
    """Take a payment to its end by a capture or void of its own."""
    [before] = await office.accept(name)
    moving = await office.move(before, **{**way, "event_id": event_id(f"{verb} {name}")})
    assert moving is not None
    await office.bench.post(office.closing(verb, f"{verb} {name}", name))
    assert await office.move(moving, step=None, next_at=None, **ends) is not None


async def test_a_book_that_is_ours_has_nothing_wrong(desk: Desk) -> None:
    assert await desk.found(desk.sound()) == []


Damage = dict[str, tuple[list[tuple[int, dict[str, Any]]], list[str]]]

WRONG: Damage = {
    "a charge that is missing": (
        [(0, {"state": "declined"})],
        [
            "payment has a charge that its provider's book has not",
            "provider has 0 USD/2 of what ended, and 70 was captured",
            "provider's line: declined, and its payment has a charge",
        ],
    ),
    "a charge of a payment that ended without": (
        [(1, {"state": "accepted"})],
        [
            "provider has 140 USD/2 of what ended, and 70 was captured",
            "provider's line: charged, and its payment has ended without",
        ],
    ),
    "another amount": (
        [(0, {"amount": 71})],
        [
            "provider has 71 USD/2 of what ended, and 70 was captured",
            "provider's line: its amount is not that of its payment",
        ],
    ),
    "another asset": ([(4, {"asset": "EUR/2"})], ["provider's line: its amount is not that of its payment"]),
    "another reference": ([(0, {"named": "eve"})], ["provider's line: its payment knows another reference"]),
    "a key of its own": ([(4, {"key": "mine"})], ["provider's line: its key is not that of its payment"]),
    "a stranger": (
        [(4, {"payment": event_id("nobody")})],
        ["provider's line: it belongs to no payment"],
    ),
    "no payment at all": ([(4, {"payment": "none"})], ["provider's line: it belongs to no payment"]),
    "a refund of what is held": (
        [(3, {"payment": event_id("held"), "key": ""})],
        [
            "payment has a refund that its provider's book has not",
            "provider has 140 USD/2 of what ended, and 70 was captured",
        ],
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_differs_is_found(desk: Desk, what: str) -> None:
    damage, expected = WRONG[what]
    lines = desk.sound()
    for index, changes in damage:
        lines[index] = msgspec.structs.replace(lines[index], **changes)
    assert await desk.found(lines) == expected


async def test_money_that_moved_twice_is_found(desk: Desk) -> None:
    again = desk.line("held", key=f"{desk.tenant}:again")
    assert await desk.found([*desk.sound(), again]) == [
        "provider has moved money twice",
        "provider's line: its key is not that of its payment",
    ]
    assert await desk.found([*desk.sound(), desk.line("held")]) == [
        "provider has moved money twice",
        "provider's book has a key more than once",
    ]


async def test_a_refund_needs_its_charge(desk: Desk) -> None:
    found = await desk.found([*desk.sound(), desk.line("declined", "refund")])
    assert "provider has refunded what it did not charge" in found
    assert "provider's line: refunded, and its payment has ended without" in found


async def test_payments_of_other_providers_are_not_this_ones(desk: Desk) -> None:
    found = await desk.found([*desk.sound(), desk.line("elsewhere")])
    assert found == ["provider's line: its payment is of another provider"]


async def test_lines_of_other_tenants_are_passed_by_unless_the_book_is_only_ours(desk: Desk) -> None:
    stranger = desk.line("held", tenant="somebody", key="x")
    assert await desk.found([*desk.sound(), stranger]) == []
    found = await desk.found([*desk.sound(), stranger], others=set())
    assert found == ["provider's line: it belongs to no payment"]


async def test_a_book_that_is_only_ours_may_be_of_providers_that_were_forgotten(desk: Desk) -> None:
    assert await desk.found(desk.sound(), providers=set(), others=set()) == []
    taken = {(desk.tenant, "bank")}
    assert set(await desk.found(desk.sound(), providers=set(), others=taken)) == {
        "provider's line: its payment is of another provider"
    }


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b"\xff", b'{"key":"k","kind":"gift"}'])
def test_what_is_no_line_is_named(line: bytes) -> None:
    with pytest.raises(BookLineError, match="FILE, line 3 is no line"):
        read_book_line(line, "FILE, line 3")
