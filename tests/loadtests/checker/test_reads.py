"""What readers, providers and senders wrote down: each thing that must not be in it is named."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loadtests.chaos.checker.__main__ import parse
from loadtests.chaos.checker.history import Read, history_findings, reads_of
from loadtests.chaos.checker.liveness import behind
from loadtests.chaos.checker.providers import Paid, book_findings
from loadtests.chaos.checker.report import SHOWN_MAX, Finding, Report
from loadtests.chaos.checker.sent import digest_of, read_sent

PAYMENT = ("acme", "p")
LINE = {
    "tenant": "acme",
    "payment": "p",
    "kind": "charge",
    "amount": 5,
    "asset": "USD/2",
    "state": "accepted",
}
REFUND = {**LINE, "kind": "refund"}


def read(version: int, began: float, ended: float, **more: Any) -> Read:
    return Read(
        "acme", "ann", "USD/2", more.pop("consistency", "strong"), version, version, began, ended, **more
    )


HISTORIES = {
    "in order": ([read(1, 0, 1), read(1, 2, 3), read(4, 4, 5)], []),
    "side by side any may be older": ([read(4, 0, 3), read(1, 1, 2)], []),
    "cached reads may go back": ([read(4, 0, 1), read(1, 2, 3, consistency="cached")], []),
    "back": ([read(4, 0, 1), read(1, 2, 3)], ["a strong read went back"]),
    "back behind one side by side": (
        [read(4, 0, 1), read(5, 0.5, 9), read(3, 2, 3)],
        ["a strong read went back"],
    ),
    "missed": ([read(1, 2, 3, at_least=2)], ["a strong read missed what was committed"]),
    "seen": ([read(2, 2, 3, at_least=2)], []),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_strong_reads_never_go_back(name: str) -> None:
    reads, wanted = HISTORIES[name]
    assert [each.what for each in history_findings(reads)] == wanted


BOOKS: dict[str, tuple[str, Sequence[dict[str, Any]], list[str]]] = {
    "settled and charged": ("settled", [LINE], []),
    "released and declined": ("released", [{**LINE, "state": "declined"}], []),
    "refunded": ("refunded", [LINE, REFUND], []),
    "under way": ("charging", [LINE], []),
    "settled without a charge": ("settled", [], ["the provider's book is not ours"]),
    "released and charged": ("released", [LINE], ["the provider's book is not ours"]),
    "charged twice": ("settled", [LINE, LINE], ["the provider moved money twice"]),
    "refunded twice": ("refunded", [LINE, REFUND, REFUND], ["the provider moved money twice"]),
    "another amount": ("settled", [{**LINE, "amount": 6}], ["the provider moved another amount"]),
    "unknown": (
        "settled",
        [LINE, {**LINE, "payment": "q"}],
        ["the provider knows a payment that is not in the books"],
    ),
}


@pytest.mark.parametrize("name", BOOKS)
def test_the_providers_book_is_ours(name: str) -> None:
    state, lines, wanted = BOOKS[name]
    findings = book_findings({PAYMENT: Paid(state, 5, "USD/2")}, lines)
    assert [each.what for each in findings] == wanted


def test_lag_is_named_by_partition() -> None:
    ends = {0: (0, 10), 1: (0, 0), 2: (5, 8), 3: (4, 4)}
    assert behind("books in payments", {0: 10, 2: 7}, ends) == {"books in payments 2": (7, 8)}
    assert behind("books in payments", {0: 11}, {0: (0, 10)}) == {"books in payments 0": (11, 10)}


def test_files_of_what_was_sent_are_read_in_either_form(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"{}").decode()
    rows = [
        {
            "topic": "payments",
            "partition": 1,
            "offset": 7,
            "key": None,
            "value_base64": encoded,
            "acked": True,
        },
        {"topic": "payments", "partition": 1, "offset": 7, "value": "{}", "acked": True},
        {"at": 1.0, "kind": "transfer", "key": None, "value": encoded, "partition": 1, "offset": 7},
        {"at": 1.0, "kind": "transfer", "key": None, "value": encoded, "error": "away"},
    ]
    path = tmp_path / "sent.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"at": 2.0, "ki')
    found = list(read_sent(path))
    assert [each.digest for each in found] == [digest_of(b"{}")] * 4
    assert [each.acked for each in found] == [True, True, True, False]
    assert digest_of(None) != digest_of(b"")


def test_files_of_reads_may_end_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "reads.jsonl"
    path.write_text(json.dumps({**read(3, 1, 2)._asdict(), "more": 1}) + "\n" + '{"ten')
    assert list(reads_of(path)) == [read(3, 1, 2)]


def test_a_report_counts_all_and_shows_the_first() -> None:
    report = Report()
    report.checked("L", 3)
    report.add(Finding("L", "less: gone", str(number)) for number in range(SHOWN_MAX + 5))
    told = report.told()
    assert (told["ok"], told["verdict"]) == (False, "less")
    assert told["invariants"]["L"]["counts"] == {"less: gone": SHOWN_MAX + 5}
    assert len(told["invariants"]["L"]["findings"]) == SHOWN_MAX
    lines = "\n".join(report.lines())
    assert "L  wrong" in lines
    assert "W  not run" in lines


def test_the_command_line_says_where_everything_is() -> None:
    options, as_json = parse(
        ["--kafka", "k:1", "--postgres", "dsn", "--topics-prefix", "x.", "--group", "g=payments", "--json"]
    )
    assert (options.topics.payments, options.topics.dead_letters) == ("x.payments", "x.dead-letters")
    assert (options.groups, as_json) == ({"g": "x.payments"}, True)
