"""Reversals: part or whole, never more than the original."""

from tests.builders import INT64_MAX, event, event_id
from tests.scripts import check


def test_reversal_takes_back_the_whole() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        reverse t                          | posted
        show ann                           | 0 held 0 version 2
        reverse t                          | already_reversed
    """)


def test_parts_never_exceed_the_original() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        reverse t 60                       | posted
        reverse t 41                       | exceeds_original
        reverse t 40                       | posted
        reverse t 1                        | already_reversed
        show ann                           | 0 held 0 version 3
    """)


def test_whole_reversal_takes_what_is_left() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        reverse t 60                       | posted
        reverse t                          | posted
        show ann                           | 0 held 0 version 3
    """)


def test_many_entries_are_reversed_as_a_whole() -> None:
    check("""
        t: post external:bank:-100 ann:95 fees:5  | posted
        reverse t 5                               | exceeds_original
        reverse t 100                             | exceeds_original
        reverse t                                 | posted
        reverse t                                 | already_reversed
        show fees                                 | 0 held 0 version 2
    """)


def test_two_entries_are_reversed_in_part() -> None:
    check("""
        t: post ann:100 external:bank:-100   | posted
        reverse t 30                         | posted
        show ann                             | 70 held 0 version 2
    """)


def test_reversal_needs_funds() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        transfer ann bob 1                 | posted
        reverse t                          | insufficient_funds
        reverse t 99                       | posted
    """)


def test_reversal_can_be_reversed() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        r: reverse t                       | posted
        reverse r                          | posted
        show ann                           | 100 held 0 version 3
        reverse t                          | already_reversed
    """)


def test_part_of_a_reversal_can_be_reversed() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        r: reverse t 60                    | posted
        reverse r 61                       | exceeds_original
        reverse r 10                       | posted
        show ann                           | 50 held 0 version 3
    """)


def test_capture_can_be_reversed() -> None:
    check("""
        h: hold external:bank shop 100     | posted
        c: capture h 60 more               | posted
        reverse c 10                       | posted
        show shop                          | 50 held 0 version 2
        show external:bank                 | -50 held 40 version 2
    """)


def test_only_transactions_are_reversed() -> None:
    check("""
        open ann                           | posted
        h: hold external:bank shop 100     | posted
        reverse h                          | transaction_not_found
        reverse nothing                    | transaction_not_found
        f: transfer ann shop 1             | insufficient_funds
        reverse f                          | transaction_not_found
    """)


def test_reversal_of_itself_is_not_found() -> None:
    check("""
        t: reverse t                       | transaction_not_found
    """)


def test_reversal_amount_is_positive() -> None:
    check(f"""
        t: transfer external:bank ann 100  | posted
        reverse t 0                        | amount_out_of_range
        reverse t -1                       | amount_out_of_range
        reverse t {INT64_MAX + 1}          | amount_out_of_range
        reverse t 101                      | exceeds_original
    """)


def test_closed_account_takes_nothing_back() -> None:
    check("""
        t: transfer external:bank ann 100  | posted
        transfer ann external:bank 100     | posted
        close ann                          | posted
        reverse t                          | account_closed
    """)


def test_reversal_is_bounded_by_the_totals() -> None:
    check(f"""
        t: transfer external:bank ann {INT64_MAX}  | posted
        transfer ann external:bank 1               | posted
        reverse t                                  | amount_out_of_range
    """)


def test_original_may_be_named_in_upper_case() -> None:
    desk = check("""
        t: transfer external:bank ann 100  | posted
        reverse t 1                        | posted
    """)
    data = {"transaction": event_id("t").upper()}
    assert desk.handle(event("transaction.reverse.v1", data, name="r")).kind == "posted"
