"""Accounts: opening, first use, closing."""

from ledger.domain.account import Account
from tests.builders import event
from tests.scripts import Desk, check


def test_account_opens_on_first_use() -> None:
    desk = check("""
        transfer external:bank ann 5      | posted
    """)
    assert {account.code for account in desk.books.changes.opened} == {"external:bank", "ann"}


def test_opening_again_the_same_is_a_duplicate() -> None:
    check("""
        open ann overdraft=5 note=x       | posted
        open ann overdraft=5 note=x       | duplicate
        open ann overdraft=5              | duplicate
    """)


def test_opening_again_otherwise_is_refused() -> None:
    check("""
        open ann overdraft=5 note=x       | posted
        open ann overdraft=6 note=x       | account_exists_differently
        open ann note=x                   | account_exists_differently
        open ann debit overdraft=5        | account_exists_differently
        open ann overdraft=unlimited      | account_exists_differently
        open ann overdraft=5 note=y       | account_exists_differently
    """)


def test_opening_after_first_use_must_be_by_default() -> None:
    check("""
        transfer external:bank ann 5      | posted
        open ann                          | duplicate
        open ann credit overdraft=0       | duplicate
        open ann debit                    | account_exists_differently
        open external:bank                | duplicate
        open external:bank overdraft=unlimited   | duplicate
        open external:bank overdraft=0    | account_exists_differently
    """)


def test_refused_use_does_not_open() -> None:
    check("""
        transfer ann shop 5               | insufficient_funds
        open ann debit                    | posted
        transfer ann external:x 5         | posted
        show ann                          | 5 held 0 version 1
    """)


def test_hold_opens_every_account_that_its_capture_moves() -> None:
    desk = check("""
        hold external:bank ann 5          | posted
        show ann                          | 0 held 0 version 0
        close ann                         | posted
    """)
    assert [account.code for account in desk.books.changes.opened] == ["external:bank", "ann"]
    assert [balance.account.code for balance in desk.books.changes.balances] == ["external:bank"]


def test_hold_towards_another_tenant_leaves_the_agreement_to_whom_it_concerns() -> None:
    desk = check("""
        hold external:bank transit:acme 5      | posted
        open transit:acme overdraft=9          | posted
    """)
    assert [account.code for account in desk.books.changes.opened] == ["external:bank", "transit:acme"]


def test_account_closes_when_empty() -> None:
    check("""
        transfer external:bank ann 5      | posted
        close ann                         | account_not_empty
        transfer ann external:bank 5      | posted
        close ann                         | posted
        close ann                         | account_closed
        transfer external:bank ann 5      | account_closed
        transfer ann external:bank 5      | account_closed
        hold ann external:bank 5          | account_closed
        hold external:bank ann 5          | account_closed
        open ann                          | account_closed
        open ann overdraft=9              | account_exists_differently
    """)


def test_every_asset_must_be_empty() -> None:
    check("""
        transfer external:bank ann 5               | posted
        transfer external:bank ann 5 asset=JPY/0   | posted
        transfer ann external:bank 5               | posted
        close ann                                  | account_not_empty
    """)


def test_overdrawn_account_does_not_close() -> None:
    check("""
        open ann overdraft=5              | posted
        transfer ann shop 5               | posted
        close ann                         | account_not_empty
    """)


def test_account_with_a_hold_does_not_close() -> None:
    check("""
        open ann overdraft=5              | posted
        h: hold ann shop 5                | posted
        close ann                         | account_not_empty
        void h                            | posted
        close ann                         | posted
    """)


def test_unknown_account_does_not_close() -> None:
    check("""
        close ann                         | account_not_found
        open ann                          | posted
        close ann                         | posted
    """)


def test_closed_account_takes_no_new_asset() -> None:
    check("""
        open ann                                    | posted
        close ann                                   | posted
        transfer external:bank ann 5 asset=JPY/0    | account_closed
    """)


# Without opening on first use


def test_stranger_is_not_found() -> None:
    check(
        """
        transfer external:bank ann 5      | account_not_found
        open external:bank                | posted
        transfer external:bank ann 5      | account_not_found
        open ann                          | posted
        transfer external:bank ann 5      | posted
        hold ann shop 5                   | account_not_found
        post ann:-5 shop:5                | account_not_found
        """,
        Desk(auto_open=False),
    )


# What stands so already


def stands(metadata: object, asked: object) -> bool:
    command = event("account.open.v1", {"account": "ann", "metadata": asked}).command
    return Account("acme", "ann", "credit", 0, metadata).stands_as(command)  # type: ignore[arg-type]


def test_metadata_is_compared_as_json() -> None:
    assert stands({"a": [1, None, "x"], "b": {"c": True}}, {"b": {"c": True}, "a": [1, None, "x"]})


def test_true_is_not_one() -> None:
    assert not stands({"a": 1}, {"a": True})


def test_large_number_survives_its_notation() -> None:
    # A store of decimal numbers gives 1e23 back as the integer 10**23.
    assert stands({"a": 10**23, "b": 10**300}, {"a": 1e23, "b": 1e300})


def test_other_numbers_differ() -> None:
    assert not stands({"a": 10**23}, {"a": 1e22})


def test_huge_integers_are_compared_exactly() -> None:
    assert stands({"a": 10**400}, {"a": 10**400})


def test_longer_list_differs() -> None:
    assert not stands({"a": [1, 2]}, {"a": [1]})


def test_other_tenants_owe_what_was_agreed_and_no_more() -> None:
    check("""
        transfer transit:acme ann 1            | insufficient_funds
        open transit:acme overdraft=5          | posted
        transfer transit:acme ann 5            | posted
        transfer transit:acme ann 1            | insufficient_funds
        transfer external:bank transit:acme 2  | posted
        transfer transit:acme ann 2            | posted
    """)
