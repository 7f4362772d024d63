"""What needs an operator, and every way out of that."""

import pytest

from ledger.domain.payments.happenings import Decided, Decision
from tests.payment_scripts import charging


def test_refund_that_is_refused_needs_an_operator() -> None:
    charging("""
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused          | refunding      | wake +0
        wake                     | refunding      | refund 2, wake +30
        refund declined no       | refunding      | wake +2
        refund declined no       | . refunding    | wake +2
        +2 wake                  | refunding      | refund 3, wake +30
        later                    | refunding      | wake +4
        +4 wake                  | refunding      | refund 4, wake +30
        refund declined no       | needs_operator | alert: out of refund tries: no, wake +3600
        +3600 wake               | needs_operator | alert: out of refund tries: no, wake +3600
        told retry               | refunding      | wake +0
        wake                     | refunding      | refund 5, wake +30
        refund accepted re_1     | releasing      | release e2, wake +15
        void posted              | refunded       |
    """)


UNKNOWN_FOR_LONG = """
        unknown                  | charging       | wake +1
        +999 wake                | charging       | query_charge 2, wake +30
        +1 pending               | needs_operator | alert: charge unknown for too long, wake +3600
"""


@pytest.mark.parametrize(
    "then",
    [
        "told charged ch_1        | charged        | capture e1, wake +15",
        "accepted ch_1            | charged        | capture e1, wake +15",
        "told not charged         | releasing      | release e1, wake +15",
        "declined no              | releasing      | release e1, wake +15",
        """told retry               | charging       | wake +0
           wake                     | charging       | query_charge 3, wake +30""",
        "told hold closed | ! needs_operator | alert: told_hold_closed while needs_operator, wake +3600",
        "not found 2              | . needs_operator | wake +3600",
    ],
)
def test_ways_out_of_a_charge_that_stays_unknown(then: str) -> None:
    charging(UNKNOWN_FOR_LONG + then)


CAPTURE_MISSING = """
        accepted ch_1            | charged        | capture e1, wake +15
        +15 wake                 | charged        | capture e1, wake +15
        +15 wake                 | needs_operator | alert: no outcome of the capture, wake +3600
"""


@pytest.mark.parametrize(
    "then",
    [
        "told retry               | charged        | capture e1, wake +15",
        "capture posted           | settled        |",
        """capture refused          | refunding      | wake +0
           wake                     | refunding      | refund 2, wake +30""",
        "told charged ch_1        | . needs_operator | wake +3600",
        "told not charged | ! needs_operator | alert: told_not_charged while needs_operator, wake +3600",
    ],
)
def test_ways_out_of_a_capture_without_outcome(then: str) -> None:
    charging(CAPTURE_MISSING + then)


VOID_REFUSED = """
        declined no              | releasing      | release e1, wake +15
        void refused captured    | needs_operator | alert: void refused: closed, wake +3600
        void refused captured    | . needs_operator | wake +3600
"""


@pytest.mark.parametrize(
    "then",
    [
        """told retry            | releasing      | release e2, wake +15
           void refused open e1  | . releasing    | wake +15
           void posted           | released       |""",
        "told hold closed         | released       |",
        """accepted ch_1         | ! needs_operator | wake +3600
           told hold closed      | refunding      | wake +0
           wake                  | refunding      | refund 2, wake +30
           refund accepted re_1  | refunded       |""",
        """told charged ch_1     | ! needs_operator | wake +3600
           told not charged      | needs_operator | wake +3600
           told hold closed      | refunded       |""",
    ],
)
def test_ways_out_of_a_void_that_was_refused(then: str) -> None:
    charging(VOID_REFUSED + then)


REFUND_REFUSED = """
        accepted ch_1            | charged        | capture e1, wake +15
        capture refused          | refunding      | wake +0
        wake                     | refunding      | refund 2, wake +30
        unknown                  | refunding      | wake +1
        +999 wake                | refunding      | query_refund 3, wake +30
        +1 unknown               | needs_operator | alert: refund unknown for too long, wake +3600
"""


@pytest.mark.parametrize(
    "then",
    [
        """told retry               | refunding      | wake +0
           wake                     | refunding      | query_refund 4, wake +30""",
        "told not charged         | releasing      | release e2, wake +15",
        "refund accepted re_1     | releasing      | release e2, wake +15",
        "refund declined no       | . needs_operator | wake +3600",
        "told charged ch_1        | . needs_operator | wake +3600",
    ],
)
def test_ways_out_of_a_refund_that_stays_unknown(then: str) -> None:
    charging(REFUND_REFUSED + then)


def test_charge_that_an_operator_has_seen_has_a_reference() -> None:
    with pytest.raises(ValueError, match="reference"):
        Decided(Decision.CHARGED, "ops")
