"""Expected books are money that only moves, and what becomes of the mix is reckoned by the contract's rules."""

from typing import Any

import orjson
import pytest

from loadtests.expected import ExpectedBooks
from loadtests.workloads import WORKLOADS, Workload, named
from loadtests.workloads.reckoning import Reckoning
from loadtests.workloads.transfers import Transfers, evenly

SMALL = [workload for workload in WORKLOADS.values() if workload.name != "wide"]
NAMES = [workload.name for workload in SMALL]
COUNT = 600

FUND = ("f", "transfer.post", {"debit": "external:bank", "credit": "ann", "amount": 100})
PAY = ("p", "transfer.post", {"debit": "ann", "credit": "shop", "amount": 60})
HOLD = ("h", "hold.place", {"debit": "ann", "credit": "shop", "amount": 60})
ASK = (
    "q",
    "payment.request",
    {"debit": "ann", "credit": "out", "amount": 50, "fee": {"account": "x", "amount": 1}},
)

Event = tuple[str, str, dict[str, Any]]


def reckoned(*events: Event) -> ExpectedBooks:
    """Reckon events of one tenant: id, type, data."""
    reckoning = Reckoning()
    for event_id, kind, data in events:
        body = {"id": event_id, "type": f"{kind}.v1", "tenant": "shop", "data": {"asset": "EUR/2", **data}}
        reckoning.take(orjson.dumps(body))
    reckoning.end()
    return reckoning.books


def balance(books: ExpectedBooks, account: str) -> tuple[int, int]:
    """Give what an account has, and what of it is held."""
    totals = dict(books.balances())["shop", account, "EUR/2"]
    return totals.credits - totals.debits, totals.held


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
def test_money_only_moves(workload: Workload) -> None:
    totals = [sums for _, sums in workload.expected(COUNT, 1).balances()]

    assert sum(each.credits - each.debits for each in totals) == 0
    assert all(each.debits >= 0 and each.credits >= 0 and each.held >= 0 for each in totals)


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
def test_versions_count_entries(workload: Workload) -> None:
    books = workload.expected(COUNT, 1)

    assert sum(totals.version for _, totals in books.balances()) == books.entries >= 2 * books.transactions


def test_transfers_add_up_as_their_records_do() -> None:
    workload = Transfers("uniform", evenly, customers=10)
    books, moved = dict(workload.expected(50, 3).balances()), dict.fromkeys(range(10), 10**12)
    for record in workload.records(50, 3, 2**40):
        data = orjson.loads(record.value)["data"]
        moved[int(data["debit"].removeprefix("customer:"))] -= data["amount"]
        moved[int(data["credit"].removeprefix("customer:"))] += data["amount"]

    found = {number: books["acme", f"customer:{number}", "USD/2"] for number in range(10)}
    assert {number: totals.credits - totals.debits for number, totals in found.items()} == moved


def test_what_stood_before_is_not_published() -> None:
    books = Transfers("uniform", evenly, customers=10, grown=True, rounds=4).expected(5, 1)

    assert books.standing == (50, 100)
    assert books.entries == 110


def test_duplicates_are_worked_out_without_their_repeats() -> None:
    books = named("duplicates").expected(COUNT, 1)

    assert books.repeats > 0.2 * COUNT
    assert books.transactions == 10_000 + COUNT - books.repeats


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([PAY], "insufficient_funds"),
        ([FUND, HOLD, PAY], "insufficient_funds"),
        ([FUND, ("r", "transaction.reverse", {"transaction": "p"})], "transaction_not_found"),
        (
            [FUND, PAY, *((each, "transaction.reverse", {"transaction": "p"}) for each in "rs")],
            "already_reversed",
        ),
        ([FUND, PAY, ("r", "transaction.reverse", {"transaction": "p", "amount": 61})], "exceeds_original"),
        ([FUND, ("c", "hold.capture", {"hold": "h"})], "hold_not_found"),
        ([FUND, HOLD, ("c", "hold.capture", {"hold": "h", "amount": 61})], "exceeds_hold"),
        (
            [
                FUND,
                HOLD,
                ("c", "hold.capture", {"hold": "h", "amount": 1}),
                ("v", "hold.void", {"hold": "h"}),
            ],
            "hold_closed",
        ),
        ([FUND, ASK, ("x", "account.close", {"account": "out"})], "account_closed"),
    ],
)
def test_a_refusal_has_its_reason(events: list[Event], outcome: str) -> None:
    assert reckoned(*events).outcomes[outcome] == 1


def test_a_capture_that_is_not_final_leaves_the_rest_held() -> None:
    books = reckoned(FUND, HOLD, ("c", "hold.capture", {"hold": "h", "amount": 20, "final": False}))

    assert balance(books, "ann") == (80, 40)


def test_a_final_capture_lets_go_of_the_rest() -> None:
    books = reckoned(FUND, HOLD, ("c", "hold.capture", {"hold": "h", "amount": 20}), PAY)

    assert balance(books, "ann") == (20, 0)


def test_a_payment_is_settled_with_its_fee() -> None:
    books = reckoned(FUND, ASK)

    assert (balance(books, "ann"), balance(books, "out"), balance(books, "fees:card")) == (
        (50, 0),
        (49, 0),
        (1, 0),
    )


def test_a_payment_to_a_closed_account_comes_back() -> None:
    books = reckoned(FUND, ASK, ("x", "account.close", {"account": "out"}))

    assert balance(books, "ann") == (100, 0)


def test_the_same_again_is_a_repeat_and_other_content_a_reuse() -> None:
    books = reckoned(
        FUND, FUND, ("f", "transfer.post", {"debit": "external:bank", "credit": "ann", "amount": 1})
    )

    assert (books.repeats, books.reused, books.ids) == (1, 1, 1)
