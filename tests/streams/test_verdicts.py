"""A verdict in a terminal: each violation on its line, and no brackets around nothing."""

from io import StringIO

from rich.console import Console

from ledger.application.provider_books import PAYMENTS_CHECK
from ledger.application.verify_books import BOOK_CHECKS
from ledger.application.verify_chain import CHAIN_CHECK
from ledger.application.verify_checkpoints import CHECKPOINTS_CHECK
from ledger.application.verify_windows import NAME as WINDOWS_CHECK
from ledger.domain.audit import MEANINGS, Check, Verdict
from streams.verdicts import show_verdict


def test_violations_are_told_with_their_facts_if_they_have_any() -> None:
    told = StringIO()
    bare, placed = {"what": "there are no checkpoints"}, {"what": "the transaction is gone", "number": 5}
    checks = [Check("checkpoints", 0, [bare]), Check("chain", 9, [placed, placed])]
    show_verdict(Verdict(checks), Console(file=told, width=200))
    lines = [line.rstrip() for line in told.getvalue().splitlines()]
    assert "checkpoints: there are no checkpoints" in lines
    assert "chain: the transaction is gone (number 5)" in lines
    assert ("1 violation " in told.getvalue(), "2 violations " in told.getvalue()) == (True, True)


def test_every_check_has_a_meaning_and_no_other_name_has() -> None:
    checks = {*BOOK_CHECKS, "no_loss", PAYMENTS_CHECK, CHAIN_CHECK, CHECKPOINTS_CHECK, WINDOWS_CHECK}
    assert set(MEANINGS) == checks
