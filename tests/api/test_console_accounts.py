"""Accounts in the console: found, explained, and nothing of what others wrote is taken for a tag."""

import re
from typing import Any

import pytest

from ledger.adapters.memory.reader import MemoryHistory
from ledger.api.console import filters
from ledger.application.eventual_balance import EventualBalance
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from tests.api.console_world import ConsoleWorld, visiting
from tests.builders import NOW, event, event_id

HOSTILE = "<script>alert('x')</script>\"><img src=x>"


class Away:
    """A BalanceReader whose books are away, or have no place for one more."""

    def __init__(self, fault: Exception | None = None) -> None:
        self._fault = fault or TransientFaultError("x")

    def __getattr__(self, name: str) -> Any:
        async def away(*_: Any) -> None:
            raise self._fault

        return away


@pytest.fixture
async def world() -> ConsoleWorld:
    world = ConsoleWorld()
    await world.live()
    return world


async def shown(world: ConsoleWorld, path: str, status: int = 200, **given: Any) -> str:
    async with visiting(world, **given) as client:
        answer = await client.get(f"/console/{path}")
    assert answer.status_code == status, answer.text
    return answer.text


def words(html: str) -> str:
    """Give what a reader sees of a page, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


async def test_accounts_are_found_by_how_they_begin(world: ConsoleWorld) -> None:
    text = await shown(world, "accounts?prefix=a")
    assert re.findall(r'<th scope="row"[^>]*><a [^>]*>([^<]+)', text) == ["ann"]
    assert "No account of acme begins with" in await shown(world, "accounts?prefix=zed")
    assert "A code is made of" in await shown(world, "accounts?prefix=%3Cb%3E")


async def test_accounts_come_in_pages(world: ConsoleWorld) -> None:
    for number in range(60):
        await world.office.post(
            event(
                "account.open.v1",
                {"account": f"many:{number:02}", "normal_side": "credit"},
                name=f"many {number}",
            )
        )
    text = await shown(world, "accounts?prefix=many:")
    (following,) = re.findall(r'href="/console/(accounts\?prefix=many%3A&amp;after=[^"]+)"', text)
    assert text.count("many:") >= 50
    assert "many:59" in await shown(world, following.replace("&amp;", "&"))


async def test_a_balance_is_shown_in_every_consistency_and_one_that_is_away_hides_no_other(
    world: ConsoleWorld,
) -> None:
    text = words(await shown(world, "accounts/ann?asset=USD/2"))
    assert "Strong what is committed 7.80 USD held 0.30 USD available 7.50 USD version 4" in text
    assert "Cached balances are not served here." in text


async def test_a_balance_is_explained_by_what_it_is_made_of(world: ConsoleWorld) -> None:
    text = words(await shown(world, "accounts/ann?asset=USD/2"))
    assert "Credits posted 11.00 USD − debits posted 3.20 USD = balance 7.80 USD" in text
    assert "− held by 1 open hold 0.30 USD = available 7.50 USD" in text
    assert "found 8.00 USD, debited 0.20 USD, and left 7.80 USD" in text
    assert "say the same" in text


async def test_a_balance_that_does_not_agree_with_its_holds_is_said(world: ConsoleWorld) -> None:
    class NoHolds(MemoryHistory):
        async def open_holds(self, *_: Any) -> Any:
            return []

    console = world.console(holds=NoHolds(world.books, {1: "acme"}, world.clock))
    assert "do not say the same" in words(await shown(world, "accounts/ann?asset=USD/2", console=console))


async def test_the_statement_is_a_t_account_and_goes_back_in_pages(world: ConsoleWorld) -> None:
    for number in range(30):
        await world.live(script=f"t{number}: transfer external:bank tee {number + 1}")
    text = await shown(world, "accounts/tee")
    assert "0.30 USD" in text
    (older,) = re.findall(r'href="/console/(accounts/tee\?asset=[^"#]+after=[^"#]+)#', text)
    page = words(await shown(world, older.replace("&amp;", "&")))
    assert "0.05 USD 0.15 USD 5" in page
    assert "Newest entries" in page


@pytest.mark.parametrize(
    "path",
    [
        "accounts/ann?asset=EUR/2",
        "accounts/ann?asset=x",
        "accounts/ann?after=x",
        "accounts/ann?after=999999999999999999.1",
        "accounts/nobody",
        "accounts/ann/chart?asset=USD/2&size=1y",
        "elsewhere",
    ],
)
async def test_what_is_not_there_is_said(world: ConsoleWorld, path: str) -> None:
    assert "There is no such thing" in await shown(world, path, 404)


async def test_an_account_without_entries_says_so(world: ConsoleWorld) -> None:
    assert "Nothing was posted to it yet" in await shown(world, "accounts/till")


async def test_what_others_wrote_is_text(world: ConsoleWorld) -> None:
    data = {"account": "evil", "normal_side": "credit", "metadata": {HOSTILE: HOSTILE}}
    await world.office.post(event("account.open.v1", data))
    move = {"debit": "external:bank", "credit": "evil", "amount": 5, "asset": "USD/2", "reference": HOSTILE}
    await world.office.post(event("transfer.post.v1", move))
    text = await shown(world, "accounts/evil")
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (TransientFaultError("x"), "PostgreSQL is away"),
        (TooSlowError("x"), "PostgreSQL did not answer in time"),
    ],
)
async def test_books_that_are_away_are_told_in_words(
    world: ConsoleWorld, fault: Exception, says: str
) -> None:
    text = await shown(world, "accounts/ann", 503, balances=Away(fault))
    assert (says in text, 'href="/console"' in text) == (True, True)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (TransientFaultError("x"), "PostgreSQL cannot be read."),
        (OverloadedError("queue"), "Too many reads wait already."),
    ],
)
async def test_while_the_books_are_away_a_balance_is_shown_as_the_stream_knows_it(
    world: ConsoleWorld, fault: Exception, says: str
) -> None:
    view = await world.services().balances.balance_at(1, "ann", "USD/2", NOW)
    assert view is not None

    async def eventual(tenant_id: int, of: Any) -> EventualBalance:
        assert (tenant_id, of.tenant, of.account, of.asset) == (1, "acme", "ann", "USD/2")
        return EventualBalance(view, "stream", 40)

    text = words(await shown(world, "accounts/ann?asset=USD/2", balances=Away(fault), eventual=eventual))
    assert re.search(r"Eventual what the stream has seen [\d.]+ USD held not known to it", text)
    assert f"Strong what is committed {says}" in text
    assert "neither the statement of the account nor its holds are shown" in text


@pytest.mark.parametrize("path", ["accounts/ann", "accounts/ann?asset=USD/2", "accounts/ann?asset=%3Cb%3E"])
async def test_what_nobody_knows_while_the_books_are_away_is_not_shown(
    world: ConsoleWorld, path: str
) -> None:
    assert "PostgreSQL is away" in await shown(world, path, 503, balances=Away())


def test_money_is_written_exactly() -> None:
    assert filters.money(2**63 - 1, "USD/2") == "92,233,720,368,547,758.07 USD"
    assert filters.money(-5, "BTC/8") == "-0.00000005 BTC"
    assert filters.money(7, "JPY/0") == "7 JPY"


def test_a_time_says_its_zone() -> None:
    assert str(filters.moment(NOW)).endswith(" UTC</time>")
    assert str(filters.moment(None)) == "–"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.25, "250 ms"),
        (2, "2.0 s"),
        (61, "1 min 1 s"),
        (7320, "2 h 2 min"),
        (90_000, "1 d 1 h"),
        (None, "–"),
    ],
)
def test_how_long_something_took_is_told_in_words(seconds: float | None, told: str) -> None:
    assert filters.span(seconds) == told


def test_bytes_are_shown_as_text_and_as_numbers() -> None:
    value = b"a\xff\x00\n<b>\xe2\x80\xae"
    assert filters.readable(value) == "a\\xff\\x00\n<b>\\u202e"
    assert filters.hexadecimal(b"0123456789abcdef\x01").splitlines() == [
        "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "00000010  01                                               .",
    ]


def test_ids_are_shortened() -> None:
    assert filters.short(event_id("d1")) == f"{event_id('d1')[:8]}…{event_id('d1')[-4:]}"
    assert filters.short("short") == "short"
