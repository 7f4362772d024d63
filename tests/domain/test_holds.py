"""Holds: funds set aside, captured in parts or whole, voided, expired."""

from tests.builders import INT64_MAX, event, event_id
from tests.scripts import Desk, check


def test_hold_reserves_funds() -> None:
    check("""
        transfer external:bank ann 100    | posted
        hold ann shop 70                  | posted
        show ann                          | 100 held 70 version 1
        transfer ann bob 31               | insufficient_funds
        hold ann bob 31                   | insufficient_funds
        transfer ann bob 30               | posted
        show ann                          | 70 held 70 version 2
    """)


def test_capture_takes_all_that_is_left() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 70               | posted
        capture h                         | posted
        capture h                         | hold_closed
        show ann                          | 30 held 0 version 2
        show shop                         | 70 held 0 version 1
    """)


def test_final_capture_releases_the_rest() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 70               | posted
        capture h 20                      | posted
        show ann                          | 80 held 0 version 2
        capture h 1                       | hold_closed
        void h                            | hold_closed
    """)


def test_captures_go_on_until_the_final_one() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 70               | posted
        capture h 20 more                 | posted
        capture h 20 more                 | posted
        show ann                          | 60 held 30 version 3
        capture h 31 more                 | exceeds_hold
        capture h 10                      | posted
        show ann                          | 50 held 0 version 4
        capture h 1                       | hold_closed
    """)


def test_hold_that_is_used_up_is_closed() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 70               | posted
        capture h 70 more                 | posted
        capture h 1 more                  | hold_closed
    """)


def test_void_releases_what_is_left() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 70               | posted
        capture h 20 more                 | posted
        void h                            | posted
        show ann                          | 80 held 0 version 2
        void h                            | hold_closed
        capture h                         | hold_closed
    """)


def test_unknown_hold() -> None:
    check("""
        capture h                         | hold_not_found
        void h                            | hold_not_found
    """)


def test_refused_hold_is_unknown() -> None:
    check("""
        h: hold ann shop 70               | insufficient_funds
        capture h                         | hold_not_found
    """)


def test_capture_amount_is_positive() -> None:
    check(f"""
        h: hold external:bank shop 70     | posted
        capture h 0                       | amount_out_of_range
        capture h -1                      | amount_out_of_range
        capture h {INT64_MAX + 1}         | amount_out_of_range
        capture h {INT64_MAX}             | exceeds_hold
    """)


def test_capture_spends_reserved_funds_only() -> None:
    check("""
        transfer external:bank ann 100    | posted
        h: hold ann shop 100              | posted
        transfer ann bob 1                | insufficient_funds
        capture h                         | posted
        show ann                          | 0 held 0 version 2
    """)


def test_receiver_may_close_meanwhile() -> None:
    check("""
        h: hold external:bank shop 5      | posted
        close shop                        | posted
        capture h                         | account_closed
        void h                            | posted
    """)


def test_debit_normal_receiver_needs_funds() -> None:
    check("""
        open cash debit                   | posted
        h: hold external:bank cash 5      | posted
        capture h                         | insufficient_funds
        transfer cash external:till 5     | posted
        capture h                         | posted
        show cash                         | 0 held 0 version 2
    """)


# Expiry


def test_hold_lives_until_it_expires() -> None:
    check("""
        h: hold external:bank shop 5 expires=60   | posted
        clock 59.999999
        capture h 1 more                          | posted
        clock 0.000001
        capture h 1 more                          | hold_expired
        show external:bank                        | -1 held 4 version 1
    """)


def test_a_capture_that_would_be_dated_past_the_end_of_its_hold_is_refused() -> None:
    check("""
        h: hold external:bank shop 5 expires=60   | posted
        clock 120
        transfer external:fx shop 1               | posted
        clock -119
        capture h                                 | hold_expired
    """)


def test_void_lets_go_of_an_expired_hold() -> None:
    check("""
        h: hold external:bank shop 5 expires=60   | posted
        clock 60
        void h                                    | posted
        show external:bank                        | 0 held 0 version 0
        void h                                    | hold_expired
        capture h                                 | hold_expired
    """)


def test_expired_hold_still_reserves_until_voided() -> None:
    check("""
        transfer external:bank ann 5              | posted
        h: hold ann shop 5 expires=60             | posted
        clock 60
        transfer ann bob 5                        | insufficient_funds
        void h                                    | posted
        transfer ann bob 5                        | posted
    """)


def test_hold_cannot_be_placed_past_its_end() -> None:
    check("""
        hold external:bank shop 5 expires=0       | hold_expired
        hold external:bank shop 5 expires=0.001   | posted
    """)


def test_captured_hold_does_not_expire() -> None:
    check("""
        h: hold external:bank shop 5 expires=60   | posted
        capture h 2                               | posted
        clock 60
        capture h 1                               | hold_closed
        void h                                    | hold_closed
    """)


# What the outcome shows


def test_outcome_shows_the_hold_after_it() -> None:
    desk = Desk()
    data = {"debit": "external:a", "credit": "shop", "amount": 9, "asset": "USD/2"}
    desk.handle(event("hold.place.v1", data, name="h"))
    captured = desk.handle(event("hold.capture.v1", {"hold": event_id("h"), "amount": 4}, name=2))
    assert captured.hold is not None
    assert (captured.hold.state, captured.hold.captured, captured.hold.released, captured.hold.left) == (
        "captured",
        4,
        5,
        0,
    )


def test_hold_may_be_named_in_upper_case() -> None:
    desk = check("""
        h: hold external:bank shop 5      | posted
    """)
    voided = desk.handle(event("hold.void.v1", {"hold": event_id("h").upper()}, name="v"))
    assert voided.kind == "posted"


def test_holds_together_stop_at_64_bits() -> None:
    check(f"""
        hold external:bank shop {INT64_MAX}   | posted
        hold external:bank shop 1             | amount_out_of_range
    """)
