"""What `ledger send` and `ledger import` say of the outcomes that they waited for."""

from typing import Any

import pytest

from streams.cli.send import show_report, summary_of


def outcome(kind: str, reason: str | None = None) -> dict[str, Any]:
    return {"type": f"event.{kind}.v1", "data": {"reason": reason} if reason else {}}


OUTCOMES = [
    *(outcome("posted"), outcome("rejected", "insufficient_funds"), outcome("duplicate")),
    *(outcome("rejected", "insufficient_funds"), outcome("rejected", "account_closed")),
]


def report(*outcomes: dict[str, Any], unanswered: int = 0) -> dict[str, object]:
    answers = {str(number): each for number, each in enumerate(outcomes)}
    return {"sent": 5, "refused_lines": [], "outcomes": answers, "unanswered": unanswered}


def test_outcomes_are_counted_by_kind_and_reason() -> None:
    reasons = {"insufficient_funds": 2, "account_closed": 1}
    assert summary_of(OUTCOMES) == {"posted": 1, "duplicate": 1, "rejected": 3, "reasons": reasons}


def test_the_first_line_tells_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(*OUTCOMES), json_output=False)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "5 sent: 1 posted, 1 duplicate, 3 refused (2 insufficient_funds, 1 account_closed)"
    assert len(rest) == len(OUTCOMES)


@pytest.mark.parametrize(("count", "told"), [(1, "1 wrong line"), (2, "2 wrong lines")])
def test_lines_that_were_left_out_are_counted(
    count: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"line": number, "fault": "no JSON"} for number in range(count)]
    show_report({**report(), "refused_lines": lines}, json_output=False)
    assert capsys.readouterr().out == f"5 sent; {told} left out\n"


def test_nothing_is_told_of_outcomes_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(), json_output=False)
    assert capsys.readouterr().out == "5 sent\n"
