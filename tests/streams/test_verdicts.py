"""A verdict in a terminal: each violation on its line, and no brackets around nothing."""

from io import StringIO

from rich.console import Console

from ledger.domain.audit import Check, Verdict
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
