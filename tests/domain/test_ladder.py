"""The ladder of refusals: of those that apply, the first of the closed list is given."""

from datetime import timedelta

import pytest

from ledger.domain.books import Rules
from ledger.domain.rejection import Reason
from tests.builders import INT64_MAX, NOW, body, event, event_id
from tests.scripts import Desk, check

FULL = f"transfer external:bank rich {INT64_MAX} | posted"


def test_unbalanced_before_same_account() -> None:
    check("post ann:1 ann:2 | unbalanced")


def test_unbalanced_before_out_of_range() -> None:
    check(f"post ann:{INT64_MAX + 1} bob:0 | unbalanced")


def test_same_account_before_out_of_range() -> None:
    check("""
        transfer ann ann 0   | same_account
        hold ann ann 0       | same_account
        post ann:0 ann:0     | same_account
        post ann:5 ann:-5    | same_account
    """)


def test_out_of_range_before_not_found() -> None:
    check(
        """
        transfer ann bob 0   | amount_out_of_range
        hold ann bob 0       | amount_out_of_range
        post ann:0 bob:0     | amount_out_of_range
        """,
        Desk(auto_open=False),
    )


def test_full_totals_before_not_found() -> None:
    desk = check(FULL)
    desk.books.auto_open["acme"] = False
    check("transfer external:bank stranger 1 | amount_out_of_range", desk)


def test_full_totals_before_closed() -> None:
    check(f"""
        {FULL}
        open ann                       | posted
        close ann                      | posted
        transfer external:bank ann 1   | amount_out_of_range
    """)


def test_out_of_range_before_closed() -> None:
    check("""
        open ann                       | posted
        close ann                      | posted
        transfer ann bob 0             | amount_out_of_range
    """)


def test_not_found_before_closed() -> None:
    check(
        """
        open ann                       | posted
        close ann                      | posted
        transfer ann stranger 1        | account_not_found
        transfer stranger ann 1        | account_not_found
        """,
        Desk(auto_open=False),
    )


def test_exists_differently_before_closed() -> None:
    check("""
        open ann                       | posted
        close ann                      | posted
        open ann debit                 | account_exists_differently
        open ann                       | account_closed
    """)


def test_closed_before_insufficient_funds() -> None:
    check("""
        open ann                       | posted
        close ann                      | posted
        transfer ann bob 1             | account_closed
        transfer bob ann 1             | account_closed
        hold bob ann 1                 | account_closed
    """)


def test_out_of_range_before_transaction_not_found() -> None:
    check("reverse nothing 0 | amount_out_of_range")


def test_closed_before_already_reversed() -> None:
    check("""
        t: transfer external:bank ann 5   | posted
        reverse t                         | posted
        close ann                         | posted
        reverse t                         | account_closed
    """)


def test_already_reversed_before_exceeds_original() -> None:
    check("""
        t: transfer external:bank ann 5   | posted
        reverse t                         | posted
        reverse t 6                       | already_reversed
    """)


def test_exceeds_original_before_insufficient_funds() -> None:
    check("""
        t: transfer external:bank ann 5   | posted
        transfer ann bob 5                | posted
        reverse t 6                       | exceeds_original
        reverse t 5                       | insufficient_funds
    """)


def test_already_reversed_before_insufficient_funds() -> None:
    check("""
        t: post external:bank:-5 ann:3 bob:2   | posted
        reverse t                              | posted
        reverse t                              | already_reversed
    """)


def test_out_of_range_before_hold_not_found() -> None:
    check("capture nothing 0 | amount_out_of_range")


def test_closed_before_hold_closed() -> None:
    check("""
        h: hold external:bank ann 5       | posted
        close ann                         | posted
        void h                            | posted
        capture h                         | account_closed
    """)


def test_closed_before_hold_expired() -> None:
    check("""
        h: hold external:bank ann 5 expires=60   | posted
        close ann                                | posted
        clock 60
        capture h                                | account_closed
    """)


def test_hold_closed_before_hold_expired() -> None:
    check("""
        h: hold external:bank ann 5 expires=60   | posted
        void h                                   | posted
        clock 60
        capture h                                | hold_closed
        void h                                   | hold_closed
    """)


def test_hold_closed_before_exceeds_hold() -> None:
    check("""
        h: hold external:bank ann 5   | posted
        void h                        | posted
        capture h 6                   | hold_closed
    """)


def test_hold_expired_before_exceeds_hold() -> None:
    check("""
        h: hold external:bank ann 5 expires=60   | posted
        clock 60
        capture h 6                              | hold_expired
    """)


def test_hold_expired_before_insufficient_funds() -> None:
    check("hold ann bob 5 expires=0 | hold_expired")


def test_exceeds_hold_before_insufficient_funds() -> None:
    check("""
        open cash debit                  | posted
        h: hold external:bank cash 5     | posted
        capture h 6                      | exceeds_hold
        capture h 5                      | insufficient_funds
    """)


# Time comes first: an id is too old, or ahead

UNBALANCED = {"entries": [{"account": account, "asset": "USD/2", "amount": 1} for account in "ab"]}


def decided_at_age(age: timedelta) -> str:
    """Decide an unbalanced transaction whose id is `age` old."""
    unbalanced = event("transaction.post.v1", UNBALANCED, id=event_id(at=NOW - age))
    return str(Desk().handle(unbalanced).reason)


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=365), "event_too_old"),
        (timedelta(days=90, milliseconds=1), "event_too_old"),
        (timedelta(days=90), "unbalanced"),
        (timedelta(0), "unbalanced"),
        (timedelta(minutes=-5), "unbalanced"),
        (timedelta(minutes=-5, milliseconds=-1), "event_from_future"),
        (timedelta(days=-365), "event_from_future"),
    ],
)
def test_age_of_the_id_decides_first(age: timedelta, reason: str) -> None:
    assert decided_at_age(age) == reason


@pytest.mark.parametrize(
    ("event_id", "reason"),
    [
        ("00000000-0000-7000-8000-000000000000", "event_too_old"),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", "event_from_future"),
    ],
)
def test_ends_of_time(event_id: str, reason: str) -> None:
    assert Desk().handle(event(id=event_id)).reason == reason


def test_limits_are_settings() -> None:
    rules = Rules(dedupe_horizon=timedelta(seconds=1), future_tolerance=timedelta(0))
    desk = Desk(rules=rules)
    desk.clock.move(1.001)
    assert desk.handle(event()).reason == "event_too_old"


# The list itself


def test_every_refusal_has_a_detail() -> None:
    outcome = Desk().handle(event(data=body()["data"] | {"amount": 0}))
    assert outcome.detail == "an amount is 1 … 2^63-1 minor units"


def test_list_is_closed() -> None:
    assert [reason.value for reason in Reason] == [
        "event_id_reused",
        "event_too_old",
        "event_from_future",
        "unbalanced",
        "same_account",
        "amount_out_of_range",
        "account_not_found",
        "account_exists_differently",
        "account_closed",
        "account_not_empty",
        "transaction_not_found",
        "already_reversed",
        "exceeds_original",
        "hold_not_found",
        "hold_closed",
        "hold_expired",
        "exceeds_hold",
        "unknown_provider",
        "insufficient_funds",
    ]
