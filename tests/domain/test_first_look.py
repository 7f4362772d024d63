"""The first look at movements passes what the checks pass, and nothing else."""

from itertools import product

import pytest

from ledger.domain.account import Account, Balance
from ledger.domain.books import Books
from ledger.domain.money import AMOUNT_MAX
from ledger.domain.movements import check_accounts, check_funds, check_movements, check_totals

FULL = AMOUNT_MAX - 50
STATES = list(product(["credit", "debit"], [None, 49], [0, 50, FULL, FULL + 1], [False, True], [False, True]))


def balance_of(state: tuple[str, int | None, int, bool, bool]) -> Balance:
    side, overdraft, total, closed, stands = state
    account = Account("demo", "ann", side, overdraft, closed=closed, stands=stands)  # type: ignore[arg-type]
    return Balance(account, "USD/2", total, total, held=0)


@pytest.mark.parametrize("amount", [1, 49, 50])
@pytest.mark.parametrize("opens_by_itself", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_gives_what_the_checks_give(amount: int, opens_by_itself: bool, same: bool) -> None:
    books = Books(auto_open={"demo": opens_by_itself})
    passed = 0
    for debited, credited in product(STATES, STATES):
        first = balance_of(debited)
        movements = [(first, -amount), (first if same else balance_of(credited), amount)]
        expected = (
            check_totals(movements)
            or check_accounts(books, [each for each, _ in movements])
            or check_funds(movements)
        )
        assert check_movements(books, movements) == expected
        passed += expected is None
    assert 0 < passed < len(STATES) ** 2
