"""What is told of a replay: lines for a terminal, and a page that needs nothing else."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import msgspec
import pytest

from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from streams.cli.made_by import made_by
from streams.replay.html import bars, curve
from streams.replay.not_events import NotEvents
from streams.replay.plan import Fate, Filters, Placed
from streams.replay.run import Told
from streams.replay.telling import comparison_lines, comparison_page, report_lines, report_page
from streams.replay.wish import Proof, Report, Source, SourceKind

TOLD = Told(
    {"posted": 1200, "rejected": 30, "different": 0},
    {"insufficient_funds": 30},
    [],
    1230,
    2.0,
    [(0.0, 0), (1.0, 500), (2.0, 1230)],
)
SOURCE = Source("topic", {0: (0, 600), 1: (0, 630)}, "payments", whole=True)
STANDING = {"tenant": "acme", "account": "<ann>", "asset": "USD/2"}
DIFFERENCE = {
    **STANDING,
    "view": "balances",
    "what": ["posted_credits"],
    "left": {**STANDING, "posted_debits": 0, "posted_credits": 7, "held": 0, "version": 1},
    "entry": 1,
    "left_entry": {
        "event_id": "e-1",
        "amount": 7,
        "posted_at": "2026-11-21",
        "posted_debits": 0,
        "posted_credits": 7,
    },
}
SIDE = {"digest": "aa", "standings": 1, "tenants": {"acme": "aa"}}
COMPARISON = {"same": False, "left": SIDE, "right": SIDE, "count": 1, "differences": [DIFFERENCE]}


def rebuilt(expected: str = "aa", digest: str = "aa", **more: object) -> Report:
    proof = Proof(expected, digest)
    return Report(target="into", name="again", source=SOURCE, told=TOLD, proof=proof, **more)  # type: ignore[arg-type]


def test_a_live_replay_that_posted_nothing_says_so() -> None:
    told = Told({"known": 5, "duplicate": 1}, {}, [], 6, 1.0, [])
    assert Report(target="live", name=None, source=SOURCE, told=told).verdict == "nothing changed"


@pytest.mark.parametrize(
    ("posted", "said"), [(1, "1 event posted, 0 refused"), (2, "2 events posted, 0 refused")]
)
def test_one_event_is_one(posted: int, said: str) -> None:
    told = Told({"posted": posted}, {}, [], posted, 1.0, [])
    report = Report(target="live", name=None, source=SOURCE, told=told)
    assert report.verdict == said
    assert next(report_lines(report)).startswith("1 record in " if posted == 1 else "2 records in ")


def test_a_replay_whose_filters_fit_no_event_says_so() -> None:
    told, source = Told({"left_out": 5}, {}, [], 5, 1.0, []), Source("topic", {}, filters=Filters(["nosuch"]))
    for target in ("dry-run", "live", "into"):
        report = Report(target=target, name="again", source=source, told=told)
        assert report.verdict.endswith("; no event fits the tenants, types, accounts and ids that were named")
    told = Told({"left_out": 5, "known": 1}, {}, [], 6, 1.0, [])
    assert Report(target="live", name=None, source=source, told=told).verdict == "nothing changed"


def test_a_rebuild_is_right_only_with_the_same_digest_and_the_same_outcomes() -> None:
    assert rebuilt().ok
    assert not rebuilt(digest="ab").ok
    told = Told({"posted": 1, "different": 1}, {}, [], 1, 1.0, [])
    assert not Report(target="into", name="again", source=SOURCE, told=told).ok


def test_lines_tell_rate_counts_and_both_digests() -> None:
    text = "\n".join(report_lines(rebuilt()))
    assert "615 a second" in text
    assert re.search(r"posted +1,200", text)
    assert text.count(" aa") == 2
    assert text.endswith("the digest is that of the live books.")


def test_lines_tell_records_of_all_runs_beside_those_of_this_one() -> None:
    report = msgspec.structs.replace(rebuilt(), told=replace(TOLD, before=770))
    text = "\n".join(report_lines(report))
    assert "1,230 records in 2.0 s" in text
    assert "2,000 records in all runs of this replay" in text
    assert "all runs" not in "\n".join(report_lines(rebuilt()))


def test_lines_name_what_differs_and_where_it_begins() -> None:
    text = "\n".join(comparison_lines(COMPARISON, "live", "again"))
    assert "acme/<ann> USD/2 differs in posted_credits" in text
    assert "first at entry 1" in text
    assert "has no such entry" in text


def test_a_page_needs_nothing_from_elsewhere_and_shows_text_as_text() -> None:
    page = report_page(rebuilt(digest="ab", differences=COMPARISON))
    assert not re.search(r"(?:src|href)=|@import|https?://", page)
    assert "&lt;ann&gt;" in page
    assert "<ann>" not in page
    assert page.count("<svg") == 4


def test_a_page_says_whose_run_it_was_and_explains_its_numbers() -> None:
    told = Told({"posted": 1}, {}, [], 1234567, 2.0, [])
    proof = Proof("aa/bb", "aa/cc")
    source = Source("topic", {0: (5, 1200), 1: (7, 7)}, "payments")
    report = Report(target="into", name="again", source=source, told=told, proof=proof)
    page = report_page(report, [("command", "ledger replay"), ("by", "ann")])
    assert "<td>command</td><td>ledger replay</td>" in page
    assert "<td>again</td><td><code>aa</code></td><td><code>cc</code></td>" in page
    assert "Books with the same digest stand the same." in page
    assert "<td class=n>5</td><td class=n>1,199</td><td class=n>1,195</td>" in page
    assert "<td class=n>7</td><td>none</td><td class=n>0</td>" in page
    assert "<td class=n>1,234,567</td>" in page
    assert "<td class=n>617,283.5</td>" in page


def test_a_page_tells_a_comparison_with_its_run() -> None:
    page = comparison_page(COMPARISON, "live", "again", made_by("a test"))
    assert "<td>why</td><td>a test</td>" in page
    assert re.search(r"made at</td><td>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)
    assert "<code>aa</code>" in page


def test_a_page_of_a_file_has_no_partitions() -> None:
    assert "Partitions" not in report_page(read_wrongly("file", {"posted": 1}))


def test_plots_are_well_formed() -> None:
    for drawn in (curve("a & b", [(0.0, 0), (1.0, 5)], "seconds", "records"), bars("x", {"a<b": 3, "c": 0})):
        ElementTree.fromstring(drawn[drawn.index("<svg") :])  # noqa: S314


def test_a_plot_of_nothing_is_none() -> None:
    assert curve("x", [(0.0, 0)], "s", "n") == bars("x", {}) == ""


def read_wrongly(kind: SourceKind, counts: dict[str, int], *offsets: int) -> Report:
    now, reason = datetime(2026, 11, 21, tzinfo=UTC), DeadLetterReason.UNKNOWN_TYPE
    found = NotEvents()
    letters = [
        (at, DeadLetter(Record("t", 0, at, None, b"{}"), reason, "no such type", now)) for at in offsets
    ]
    found.note([Placed(now, 0, at, Fate.LETTER, letter=letter) for at, letter in letters])
    told = Told(counts, {}, [], len(offsets), 1.0, [], not_events=found)
    return Report(target="live", name=None, source=Source(kind, {}, file="bad.jsonl"), told=told)


def test_lines_of_a_file_that_are_no_events_are_named_and_wrong() -> None:
    report = read_wrongly("file", {"dead_letter": 2}, 2, 6)
    text = "\n".join(report_lines(report))
    assert not report.ok
    assert "bad.jsonl:3: unknown_type: no such type\nbad.jsonl:7: unknown_type" in text
    assert text.endswith("nothing changed; 2 lines are no events.")
    assert [each["line"] for each in report.as_dict()["not_events"]["shown"]] == [3, 7]
    assert "bad.jsonl:7" in report_page(report)


def test_at_most_twenty_lines_are_named_and_all_are_counted() -> None:
    found = read_wrongly("file", {"dead_letter": 25}, *range(25)).as_dict()["not_events"]
    assert (len(found["shown"]), found["reasons"]) == (20, {"unknown_type": 25})


def test_it_is_told_why_letters_stay_open() -> None:
    report = read_wrongly("dead-letters", {"dead_letter": 1, "event_id_reused": 2, "posted": 1}, 4)
    text = "\n".join(report_lines(report))
    assert report.ok
    assert "t/0/4: unknown_type: no such type" in text
    assert "3 letters stay open: 2 event_id_reused, 1 unknown_type" in text
    assert report.as_dict()["left_open"] == {"unknown_type": 1, "event_id_reused": 2}


def test_what_a_topic_has_of_records_that_are_no_events_is_not_named() -> None:
    report = read_wrongly("topic", {"dead_letter": 1}, 4)
    assert report.ok
    assert "t/0/4" not in "\n".join(report_lines(report))
