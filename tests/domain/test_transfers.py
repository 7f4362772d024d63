"""Transfers and transactions: tables of postings with what becomes of each."""

import pytest

from ledger.domain.commands import PostTransfer
from ledger.domain.transaction import Entry, Transaction, UnbalancedError
from tests.builders import INT64_MAX, NOW, USD, event, transfer
from tests.scripts import Desk, check


def test_transfer_moves_money() -> None:
    check("""
        transfer external:bank ann 1000   | posted
        transfer ann shop 400             | posted
        show external:bank                | -1000 held 0 version 1
        show ann                          | 600 held 0 version 2
        show shop                         | 400 held 0 version 1
    """)


def test_account_cannot_spend_more_than_it_has() -> None:
    check("""
        transfer external:bank ann 1000   | posted
        transfer ann shop 1001            | insufficient_funds
        transfer ann shop 1000            | posted
        transfer ann shop 1               | insufficient_funds
        show ann                          | 0 held 0 version 2
    """)


def test_refusal_leaves_no_trace() -> None:
    desk = check("""
        transfer ann shop 1               | insufficient_funds
        show ann                          | 0 held 0 version 0
    """)
    assert not any((desk.books.changes.opened, desk.books.changes.balances, desk.books.changes.transactions))


def test_assets_do_not_mix() -> None:
    check("""
        transfer external:bank ann 1000             | posted
        transfer ann shop 1 asset=JPY/0             | insufficient_funds
        transfer external:bank ann 5 asset=JPY/0    | posted
        transfer ann shop 1 asset=JPY/0             | posted
        show ann                                    | 1000 held 0 version 1
        show ann JPY/0                              | 4 held 0 version 2
    """)


def test_overdraft_is_a_floor() -> None:
    check("""
        open ann overdraft=100            | posted
        transfer ann shop 100             | posted
        transfer ann shop 1               | insufficient_funds
        show ann                          | -100 held 0 version 1
    """)


def test_overdraft_counts_for_each_asset() -> None:
    check("""
        open ann overdraft=100            | posted
        transfer ann shop 100             | posted
        transfer ann shop 100 asset=JPY/0 | posted
    """)


def test_unlimited_overdraft_has_no_floor() -> None:
    check(f"""
        open ann overdraft=unlimited      | posted
        transfer ann shop {INT64_MAX}     | posted
        show ann                          | -{INT64_MAX} held 0 version 1
    """)


def test_outside_world_may_be_closed_off() -> None:
    check("""
        open external:bank overdraft=0    | posted
        transfer external:bank ann 1      | insufficient_funds
    """)


def test_only_the_prefix_is_the_outside_world() -> None:
    check("""
        transfer externally ann 1         | insufficient_funds
        transfer my:external:bank ann 1   | insufficient_funds
        transfer external: ann 1          | posted
    """)


def test_debit_normal_account_spends_by_credits() -> None:
    check("""
        open cash debit                   | posted
        transfer cash external:till 300   | posted
        show cash                         | 300 held 0 version 1
        transfer external:till cash 301   | insufficient_funds
        transfer external:till cash 300   | posted
        show cash                         | 0 held 0 version 2
    """)


def test_debit_normal_account_may_have_overdraft() -> None:
    check("""
        open cash debit overdraft=50      | posted
        transfer external:till cash 50    | posted
        transfer external:till cash 1     | insufficient_funds
        show cash                         | -50 held 0 version 1
    """)


# Running totals


def test_totals_stop_at_64_bits() -> None:
    check(f"""
        transfer external:bank ann {INT64_MAX}   | posted
        transfer external:other ann 1            | amount_out_of_range
        transfer external:bank bob 1             | amount_out_of_range
        transfer ann bob {INT64_MAX}             | posted
        show bob                                 | {INT64_MAX} held 0 version 1
    """)


def test_totals_add_up_inside_a_transaction() -> None:
    check(f"""
        post external:a:-{INT64_MAX} external:b:-{INT64_MAX} ann:{INT64_MAX} ann:{INT64_MAX}  | amount_out_of_range
        post external:a:-{INT64_MAX} external:b:-{INT64_MAX} ann:{INT64_MAX} bob:{INT64_MAX}  | posted
    """)


def test_amount_ends_at_64_bits() -> None:
    check(f"""
        transfer external:bank ann {INT64_MAX + 1}   | amount_out_of_range
        transfer external:bank ann {10**30}          | amount_out_of_range
        transfer external:bank ann 0                 | amount_out_of_range
        transfer external:bank ann -1                | amount_out_of_range
        transfer external:bank ann {INT64_MAX}       | posted
    """)


# Transactions of many entries


def test_transaction_posts_all_its_entries() -> None:
    check("""
        transfer external:bank ann 100         | posted
        post ann:-100 shop:95 fees:5           | posted
        show ann                               | 0 held 0 version 2
        show shop                              | 95 held 0 version 1
        show fees                              | 5 held 0 version 1
    """)


def test_transaction_may_exchange_assets() -> None:
    check("""
        post external:fx:-100 ann:100 external:fx@JPY/0:15000 ann@JPY/0:-15000   | insufficient_funds
        transfer external:bank ann 15000 asset=JPY/0                             | posted
        post external:fx:-100 ann:100 external:fx@JPY/0:15000 ann@JPY/0:-15000   | posted
        show ann                                                                 | 100 held 0 version 1
        show ann JPY/0                                                           | 0 held 0 version 2
    """)


def test_transaction_balances_each_asset() -> None:
    check("""
        post external:a:-5 ann@JPY/0:5         | unbalanced
        post external:a:-5 ann:4               | unbalanced
        post external:a:5 ann:5                | unbalanced
    """)


def test_funds_are_checked_on_the_net_of_an_account() -> None:
    check("""
        post ann:-5 external:a:-5 ann:10       | posted
        post ann:-9 shop:9 ann:-1 shop:1       | insufficient_funds
        show ann                               | 5 held 0 version 2
    """)


def test_each_entry_shows_the_state_after_it() -> None:
    outcome = Desk().handle(
        event(
            "transaction.post.v1",
            {
                "entries": [
                    {"account": "external:a", "asset": USD, "amount": -10},
                    {"account": "ann", "asset": USD, "amount": 7},
                    {"account": "ann", "asset": USD, "amount": 3},
                ]
            },
        )
    )
    assert [
        (line.account, line.version, line.balance, line.posted_debits, line.posted_credits)
        for line in outcome.entries
    ] == [("external:a", 1, -10, 10, 0), ("ann", 1, 7, 0, 7), ("ann", 2, 10, 0, 10)]


def test_unbalanced_transaction_cannot_be_made() -> None:
    entry = Entry("ann", USD, 5, 1, 5, 0, 5)
    with pytest.raises(UnbalancedError):
        Transaction("id", "acme", "t", (entry,), (), NOW, NOW)


def test_transaction_keeps_what_the_event_said() -> None:
    desk = Desk()
    data = {"debit": "external:a", "credit": "ann", "amount": 5, "asset": USD}
    more = {"reference": "r", "metadata": {"a": 1}, "effective_at": "2026-11-20T12:00:00+01:00"}
    desk.handle(event(data=data | more))
    kept = desk.books.changes.transactions[0]
    assert (kept.reference, kept.metadata, kept.effective_at.isoformat()) == (
        "r",
        {"a": 1},
        "2026-11-20T11:00:00+00:00",
    )


def test_tenants_do_not_share_accounts() -> None:
    desk = Desk()
    desk.handle(transfer("external:bank", "ann", 5, tenant="acme"))
    refused = desk.handle(transfer("ann", "shop", 5, tenant="other"))
    assert refused.reason == "insufficient_funds"


# Time


def test_posting_time_never_goes_back() -> None:
    desk = Desk()
    first = desk.handle(transfer("external:bank", "ann", 5, name=1))
    desk.clock.move(-240)
    second = desk.handle(transfer("ann", "bob", 5, name=2))
    assert second.posted_at == first.posted_at == NOW


def test_other_accounts_do_not_wait_for_the_clock() -> None:
    desk = Desk()
    desk.handle(transfer("external:bank", "ann", 5, name=1))
    desk.clock.move(-60)
    other = desk.handle(transfer("external:x", "eve", 5, name=2))
    assert other.posted_at == desk.clock.now()


def test_command_is_what_was_decoded() -> None:
    assert transfer("ann", "bob", 5).command == PostTransfer("ann", "bob", 5, USD)
