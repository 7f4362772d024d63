"""The ways of a payment, one table each."""

from datetime import timedelta

import msgspec
import pytest

from ledger.domain.payments.happenings import HoldPlaced, RetryLater, WokeUp
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import Saga
from tests.payment_scripts import HELD, Case, charging, follow


def test_accepted_and_captured() -> None:
    charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        capture posted           | settled        |
    """)


def test_request_refused_by_the_books() -> None:
    case = follow("hold refused insufficient_funds | declined |")
    assert case.saga.reason == "insufficient_funds"


def test_declined_by_the_provider() -> None:
    case = charging("""
        declined card_expired    | releasing      | release e1, wake +15
        void posted              | released       |
    """)
    assert case.saga.reason == "card_expired"


def test_unknown_is_asked_for() -> None:
    charging("""
        unknown                  | charging       | wake +1
        +1 wake                  | charging       | query_charge 2, wake +30
        pending                  | charging       | wake +2
        +2 wake                  | charging       | query_charge 3, wake +30
        accepted ch_1            | charged        | capture e1, wake +15
    """)


def test_query_that_is_put_off_tells_nothing_of_the_charge() -> None:
    charging("""
        unknown                  | charging       | wake +1
        +1 wake                  | charging       | query_charge 2, wake +30
        later after=50           | charging       | wake +52
        +52 wake                 | charging       | query_charge 3, wake +30
        declined no              | releasing      | release e1, wake +15
    """)


def test_every_try_at_a_step_has_the_same_key() -> None:
    case = charging("""
        later                    | charging       | wake +2
        +2 wake                  | charging       | charge 2, wake +30
        unknown                  | charging       | wake +1
        +1 wake                  | charging       | query_charge 3, wake +30
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused          | refunding      | wake +0
        wake                     | refunding      | refund 4, wake +30
        later                    | refunding      | wake +2
        +2 wake                  | refunding      | refund 5, wake +30
    """)
    assert [call.key for call in case.calls.values()] == ["t:p:charge"] * 3 + ["t:p:refund"] * 2


def test_silence_is_unknown() -> None:
    charging("""
        +29 wake                 | . charging     | wake +1
        +1 wake                  | charging       | wake +1
        +1 wake                  | charging       | query_charge 2, wake +30
        +30 wake                 | charging       | wake +2
        +2 wake                  | charging       | query_charge 3, wake +30
        declined no              | releasing      | release e1, wake +15
    """)


def test_not_found_is_believed_when_asked_after_the_grace() -> None:
    charging("""
        unknown                  | charging       | wake +1
        +118 wake                | charging       | query_charge 2, wake +30
        +25 not found            | charging       | wake +2
        +2 wake                  | charging       | query_charge 3, wake +30
        not found                | charging       | wake +2
        +2 wake                  | charging       | charge 4, wake +30
        accepted ch_1            | charged        | capture e1, wake +15
    """)


def test_certain_failure_is_tried_again_until_tries_run_out() -> None:
    case = charging("""
        later                    | charging       | wake +2
        +2 wake                  | charging       | charge 2, wake +30
        later after=60           | charging       | wake +64
        +64 wake                 | charging       | charge 3, wake +30
        later                    | releasing      | release e1, wake +15
        void posted              | released       |
    """)
    assert case.saga.reason == "out of tries: provider unavailable"


def test_deadline_ends_a_wait_but_no_doubt() -> None:
    case = charging("""
        +890 later after=60      | charging       | wake +10
        +10 wake                 | releasing      | release e1, wake +15
        void posted              | expired        |
    """)
    assert case.saga.reason == "deadline passed"
    charging("""
        +890 unknown             | charging       | wake +1
        +10 wake                 | charging       | query_charge 2, wake +30
        +29 unknown              | charging       | wake +2
        +2 wake                  | charging       | query_charge 3, wake +30
        accepted ch_1            | charged        | capture e1, wake +15
    """)


def test_not_found_after_the_deadline_expires() -> None:
    charging("""
        +890 unknown             | charging       | wake +1
        +120 wake                | charging       | query_charge 2, wake +30
        not found                | charging       | wake +0
        wake                     | releasing      | release e1, wake +15
        void posted              | expired        |
    """)


def test_deadline_before_the_first_try() -> None:
    follow("""
        hold placed              | funds_held     | wake +0
        +900 wake                | releasing      | release e1, wake +15
        void posted              | expired        |
    """)


def test_capture_refused_is_refunded_and_released() -> None:
    case = charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused          | refunding      | wake +0
        wake                     | refunding      | refund 2, wake +30
        unknown                  | refunding      | wake +1
        +1 wake                  | refunding      | query_refund 3, wake +30
        refund accepted re_1     | releasing      | release e2, wake +15
        void posted              | refunded       |
    """)
    assert case.saga.reason == "capture refused: closed"


def test_void_that_was_refused_is_asked_for_under_another_id() -> None:
    charging("""
        declined no              | releasing      | release e1, wake +15
        void refused open        | releasing      | wake +15
        +15 wake                 | releasing      | release e2, wake +15
        void refused open e1     | . releasing    | wake +15
        +15 wake                 | needs_operator | alert: no outcome of the release, wake +3600
    """)


def test_hold_that_somebody_else_voided() -> None:
    charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused released | refunding      | wake +0
        wake                     | refunding      | refund 2, wake +30
        refund accepted re_1     | refunded       |
    """)
    charging("""
        declined no              | releasing      | release e1, wake +15
        void refused released    | released       |
    """)


def test_hold_that_a_forgotten_capture_took() -> None:
    charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused captured | settled        |
    """)


def test_accepted_while_the_void_is_on_its_way() -> None:
    charging("""
        declined no              | releasing      | release e1, wake +15
        accepted ch_1            | ! releasing    | wake +15
        accepted ch_1            | . releasing    | wake +15
        void posted              | refunding      | wake +0
        wake                     | refunding      | refund 2, wake +30
        refund accepted re_1     | refunded       |
    """)


@pytest.mark.parametrize(
    ("way", "state"),
    [
        (HELD + "declined no | releasing | release e1, wake +15\nvoid posted | released |", "released"),
        (
            "hold placed | funds_held | wake +0\n+900 wake | releasing | release e1, wake +15\n"
            "void posted | expired |",
            "expired",
        ),
        ("hold refused no | declined |", "declined"),
    ],
)
def test_accepted_after_the_end_is_given_back(way: str, state: str) -> None:
    case = follow(way)
    assert case.saga.state == state
    first = case.saga.attempts + 1
    follow(
        f"""
        accepted ch_1            | ! refunding    | wake +0
        wake                     | refunding      | refund {first}, wake +30
        accepted ch_1            | . refunding    | wake +30
        refund accepted re_1     | refunded       |
        refund accepted re_1     | . refunded     |
        accepted ch_1            | . refunded     |
        """,
        case,
    )


def test_what_an_older_call_brings_is_absorbed() -> None:
    charging("""
        later                    | charging       | wake +2
        +2 wake                  | charging       | charge 2, wake +30
        unknown 1                | . charging     | wake +30
        later 1                  | . charging     | wake +30
        unknown                  | charging       | wake +1
        unknown                  | . charging     | wake +1
        +130 wake                | charging       | query_charge 3, wake +30
        later 2                  | . charging     | wake +30
        not found                | charging       | wake +4
        not found                | . charging     | wake +4
    """)


def test_what_agrees_is_absorbed_and_what_does_not_is_told() -> None:
    charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        accepted ch_1            | . charged      | wake +15
        hold placed              | . charged      | wake +15
        accepted ch_2            | ! charged      | alert: charge_accepted while charged, wake +15
        accepted ch_2            | . charged      | wake +15
        declined no              | ! charged      | alert: charge_declined while charged, wake +15
        capture posted           | settled        |
        capture posted           | . settled      |
        accepted ch_1            | . settled      |
        wake                     | . settled      |
        declined no              | . settled      |
        declined poor            | ! settled      | alert: charge_declined while settled
        told retry               | ! settled      | alert: told_retry while settled
        told retry               | ! settled      | alert: told_retry while settled
    """)


def test_no_more_contradictions_are_told_than_a_person_reads() -> None:
    told = "! charged | alert: charge_accepted while charged, wake +15"
    made_up = [f"accepted ch_1{number} | {told}" for number in range(10)]
    first, last = "accepted ch_1 | charged | capture e1, wake +15", "accepted ch_2 | . charged | wake +15"
    case = charging("\n".join([first, *made_up, last]))
    assert len(case.saga.contradictions) == 10


def test_accepted_by_a_try_that_a_fail_over_forgot() -> None:
    follow("""
        hold placed              | funds_held     | wake +0
        accepted ch_1            | charged        | capture e1, wake +15
    """)


def test_outcome_of_the_hold_that_never_comes() -> None:
    follow("""
        +15 wake                 | requested      | wake +15
        +885 wake                | requested      | alert: no outcome of the hold, wake +15
        hold placed              | funds_held     | wake +0
        wake                     | releasing      | release e1, wake +15
    """)


# Rules


@pytest.mark.parametrize(("tries", "longest_s"), [(0, 2), (1, 4), (4, 32), (5, 60), (10_000, 60)])
def test_backoff_doubles_up_to_its_limit(tries: int, longest_s: float) -> None:
    rules = PaymentRules(backoff_s=2, backoff_s_max=60)
    assert rules.backoff(tries, 0.25) == timedelta(seconds=longest_s / 4)
    assert rules.backoff(tries, 0.0) == timedelta(0)


@pytest.mark.parametrize(
    ("after_s", "wait_s"), [(5.0, 5.0), (1e300, 3600.0), (-5.0, 0.0), (float("nan"), 0.0), (None, 0.0)]
)
def test_a_wait_the_provider_asks_for_is_kept_within_bounds(after_s: float | None, wait_s: float) -> None:
    case = Case(PaymentRules(deadline_s=1e6))
    case.tell(HoldPlaced())
    case.tell(WokeUp())
    advanced = case.tell(RetryLater(case.calls[1], after_s), chance=0.0)
    assert advanced.saga.next_at == case.now + timedelta(seconds=wait_s)


def test_rules_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="charge_tries_max, backoff_s"):
        PaymentRules(charge_tries_max=0, backoff_s=-1.0)
    for wrong in (float("inf"), 1e12):
        with pytest.raises(ValueError, match="too large: answer_s"):
            PaymentRules(answer_s=wrong)
    with pytest.raises(ValueError, match="positive: answer_s"):
        PaymentRules(answer_s=float("nan"))


def test_a_saga_is_stored_whole() -> None:
    saga = charging("unknown | charging | wake +1\n+1 wake | charging | query_charge 2, wake +30").saga
    assert msgspec.json.decode(msgspec.json.encode(saga), type=Saga) == saga
