"""What the doctor makes of the facts it is given."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.config import Settings
from migrations.run import head_revision, known_revisions
from streams.doctor.books import clock_finding, durability_finding, partitions_finding, version_finding
from streams.doctor.finding import Finding, Level
from streams.doctor.kafka import TopicFacts, topic_findings
from streams.doctor.machine import machine_findings, packages_finding, pinned
from streams.doctor.payments import PaymentFacts, PaymentWorkers, payments_findings
from streams.doctor.positions import Log, position_findings
from streams.doctor.proofs import ChainFacts, archive_findings, chain_findings
from streams.doctor.windows import windows_findings

SETTINGS = Settings(kafka_bootstrap="kafka:9092", postgres_dsn="postgresql://books", partitions=4, workers=2)
NAMES = (
    SETTINGS.payments_topic,
    SETTINGS.outcomes_topic,
    SETTINGS.entries_topic,
    SETTINGS.dead_letters_topic,
    SETTINGS.windows_topic,
    SETTINGS.webhooks_topic,
)
NOON = datetime(2026, 12, 21, 12, tzinfo=UTC)


def levels(log: Log, books: Mapping[int, int]) -> dict[str, str]:
    return {finding.name: str(finding.level) for finding in position_findings(log, books)}


@pytest.mark.parametrize(
    ("bounds", "committed", "books", "positions", "log"),
    [
        pytest.param((0, 100), 100, 100, "fine", "fine", id="all done"),
        pytest.param((0, 100), 40, 60, "fine", "fine", id="published after the commit of the books"),
        pytest.param((0, 100), 60, 40, "wrong", "fine", id="books older than the group"),
        pytest.param((0, 100), 60, None, "wrong", "fine", id="new books for an old group"),
        pytest.param((0, 100), None, 40, "fine", "fine", id="new group for old books"),
        pytest.param((0, 100), None, None, "fine", "fine", id="nothing done yet"),
        pytest.param((0, 0), 0, None, "fine", "fine", id="nothing sent yet"),
        pytest.param((50, 100), 50, None, "fine", "fine", id="begun where the log begins"),
        pytest.param((50, 100), 40, 40, "fine", "wrong", id="expired before it was posted"),
        pytest.param((0, 10), 10, 40, "fine", "wrong", id="log made anew"),
    ],
)
def test_positions_are_compared(
    bounds: tuple[int, int], committed: int | None, books: int | None, positions: str, log: str
) -> None:
    facts = Log({0: bounds}, {} if committed is None else {0: committed})
    found = levels(facts, {} if books is None else {0: books})
    assert (found["positions"], found["log"]) == (positions, log)


@pytest.mark.parametrize(
    ("facts", "members", "expected"),
    [
        pytest.param({}, 0, {"payments": "information"}, id="nothing to do"),
        pytest.param({}, 1, {"payments": "fine"}, id="at work"),
        pytest.param({"payments": 2}, 0, {"payments": "wrong"}, id="nobody moves them"),
        pytest.param({"payments": 2, "overdue": 1}, 1, {"payments": "warning"}, id="too slow"),
        pytest.param(
            {"payments": 2, "overdue": 1, "providers": ["a/b"], "down": ["a/b"]},
            1,
            {"payments": "fine", "providers": "warning"},
            id="waiting for a provider that is down",
        ),
        pytest.param(
            {"payments": 2, "overdue": 1, "uncallable": ["a/b"]},
            1,
            {"payments": "fine", "providers": "wrong"},
            id="waiting for a provider that is not there",
        ),
        pytest.param(
            {"payments": 1, "stuck": 1}, 1, {"payments": "fine", "operator": "warning"}, id="for an operator"
        ),
        pytest.param(
            {"providers": ["a/b"], "closed_seals": ["a/b"]},
            1,
            {"payments": "fine", "providers": "wrong"},
            id="secrets that do not open",
        ),
    ],
)
def test_payments_are_judged(facts: dict[str, Any], members: int, expected: dict[str, str]) -> None:
    workers = PaymentWorkers({0: 5}, members, {0: (0, 10)})
    found = {each.name: str(each.level) for each in payments_findings(PaymentFacts(**facts), workers)}
    assert found == expected


OLD, NEW = NOON - timedelta(hours=1), NOON - timedelta(minutes=11)


@pytest.mark.parametrize(
    ("committed", "members", "complete_before", "level", "remedy"),
    [
        pytest.param({}, 0, None, "information", "", id="never there"),
        pytest.param({0: 10}, 1, NEW, "fine", "", id="at work"),
        pytest.param({0: 5}, 1, None, "fine", "", id="just begun"),
        pytest.param({0: 10}, 0, NEW, "fine", "", id="gone with nothing to do"),
        pytest.param({0: 5}, 0, NEW, "warning", "ledger worker chain-transactions", id="gone"),
        pytest.param({0: 10}, 0, OLD, "warning", "ledger worker chain-transactions", id="gone for long"),
        pytest.param({}, 0, OLD, "warning", "ledger worker chain-transactions", id="gone with its group"),
        pytest.param({0: 10}, 1, OLD, "warning", "logs of the chain workers", id="sweeps fail"),
    ],
)
def test_chain_is_judged(
    committed: Mapping[int, int], members: int, complete_before: datetime | None, level: str, remedy: str
) -> None:
    facts = ChainFacts(committed, members, {0: (0, 10)}, complete_before)
    [finding] = chain_findings(facts, NOON, settle_s=60, sweep_s=600)
    assert (str(finding.level), remedy in finding.remedy) == (level, True)
    assert bool(finding.remedy) is (level == "warning")


@pytest.mark.parametrize(
    ("archived", "log", "due", "level", "remedy"),
    [
        pytest.param({}, (0, 10), 0, "information", "", id="never there, and nothing is due"),
        pytest.param({}, (0, 10), 5, "warning", "ledger archive run", id="never there"),
        pytest.param({0: (0, 10)}, (0, 10), 10, "fine", "", id="all"),
        pytest.param({0: (0, 6)}, (0, 10), 6, "fine", "", id="all but the newest"),
        pytest.param({0: (0, 6)}, (0, 10), 7, "warning", "ledger archive run", id="gone"),
        pytest.param({0: (0, 6)}, (7, 10), 10, "wrong", "lost to the archive", id="gone for too long"),
        pytest.param({0: (0, 6)}, (6, 6), 6, "fine", "", id="all of it was deleted from the log"),
    ],
)
def test_archive_is_judged(
    archived: Mapping[int, tuple[int, int]], log: tuple[int, int], due: int, level: str, remedy: str
) -> None:
    [finding] = archive_findings(archived, {0: log}, {0: due})
    assert (str(finding.level), remedy in finding.remedy) == (level, True)


def test_partition_of_the_books_that_kafka_has_not_is_told() -> None:
    assert levels(Log({0: (0, 5)}, {0: 5}), {0: 5, 7: 3})["log"] == "wrong"


def test_lag_is_told_by_partition() -> None:
    *_, lag = position_findings(Log({0: (0, 10), 1: (5, 25), 2: (0, 3)}, {0: 4, 2: 3}), {})
    assert (lag.level, lag.detail) == (Level.INFORMATION, "26 records to handle; by partition 0: 6, 1: 20")


@pytest.mark.parametrize(
    ("revision", "ok", "said"),
    [
        (head_revision(), True, head_revision()),
        ("0001", False, "`ledger migrate` brings them"),
        ("9999", False, "newer version of this program"),
        (None, False, "`ledger migrate` makes them"),
    ],
)
def test_version_of_the_books_is_judged(revision: str | None, ok: bool, said: str) -> None:
    finding = version_finding("ledger", revision, known_revisions())
    assert finding.ok is ok
    assert said in finding.detail + finding.remedy


@pytest.mark.parametrize(
    ("months", "missing"),
    [
        (("2026_12", "2027_01"), []),
        (("2026_12",), ["2027_01"]),
        (("2026_11", "2026_10"), ["2026_12", "2027_01"]),
        ((), ["2026_12", "2027_01"]),
    ],
)
def test_this_month_and_the_next_have_partitions(months: tuple[str, ...], missing: list[str]) -> None:
    finding = partitions_finding({f"processed_events_{month}" for month in months}, NOON)
    assert finding.ok is not bool(missing)
    assert all(month in finding.detail for month in missing)


@pytest.mark.parametrize("day", [1, 29, 31])
def test_next_month_is_found_from_any_day(day: int) -> None:
    names = {"processed_events_2027_01", "processed_events_2027_02"}
    assert partitions_finding(names, datetime(2027, 1, day, 23, 59, tzinfo=UTC)).ok


@pytest.mark.parametrize(
    ("ahead_s", "took_s", "ok"),
    [(0.0, 0.0, True), (0.9, 0, True), (1.1, 0, False), (-1.1, 0, False), (4, 5, True)],
)
def test_clocks_may_differ_by_less_than_a_second(ahead_s: float, took_s: float, ok: bool) -> None:
    after = NOON + timedelta(seconds=took_s)
    assert clock_finding(NOON, NOON + timedelta(seconds=ahead_s), after).ok is ok


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_whatever_risks_a_commit_is_wrong(name: str) -> None:
    values = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "remote_apply"}
    assert durability_finding(values).ok
    finding = durability_finding(values | {name: "off"})
    assert (finding.ok, f"Turn on {name}:" in finding.remedy) == (False, True)


def of_topics(
    settings: Settings = SETTINGS, brokers: int = 3, **changes: TopicFacts | None
) -> dict[str, Finding]:
    """Findings over four good topics, of which `payments` may be otherwise, or missing."""
    topics = dict.fromkeys(NAMES, TopicFacts(4, 3, 3, 0))
    facts = changes.get("payments", topics["payments"])
    topics |= {"payments": facts} if facts else {}
    if facts is None:
        del topics["payments"]
    return {finding.name: finding for finding in topic_findings(settings, topics, brokers)}


def test_good_topics_are_fine() -> None:
    assert {finding.level for finding in of_topics().values()} == {Level.FINE}


@pytest.mark.parametrize(
    ("payments", "name", "level"),
    [
        (None, "topics", Level.WRONG),
        (TopicFacts(1, 3, 3, 0), "partitions", Level.WRONG),
        (TopicFacts(8, 3, 3, 0), "partitions", Level.WARNING),
        (TopicFacts(4, 1, 1, 0), "replication", Level.WARNING),
        (TopicFacts(4, 3, 2, 0), "replication", Level.WARNING),
        (TopicFacts(4, 3, 3, 1), "replication", Level.WRONG),
    ],
)
def test_topics_are_judged(payments: TopicFacts | None, name: str, level: Level) -> None:
    finding = of_topics(payments=payments)[name]
    assert finding.level is level
    assert finding.remedy


def test_one_broker_is_what_the_stack_is_for() -> None:
    settings = SETTINGS.model_copy(update={"kafka_bootstrap": None})
    assert of_topics(settings, payments=TopicFacts(4, 1, 1, 0))["replication"].level is Level.INFORMATION


def test_pins_are_read_from_requirements() -> None:
    lines = ["faust-streaming==0.15.3", "aiokafka==0.14.*", "sqlalchemy[asyncio]>=2", 'x==1; extra == "dev"']
    assert dict(pinned(lines)) == {"faust-streaming": "0.15.3", "aiokafka": "0.14.*"}


@pytest.mark.parametrize(
    ("installed", "ok"), [("0.14.2", True), ("0.15.0", False), ("0.140.0", False), (None, False)]
)
def test_another_version_than_the_pinned_is_wrong(installed: str | None, ok: bool) -> None:
    finding = packages_finding({"aiokafka": "0.14.*"}, {"aiokafka": installed})
    assert finding.ok is ok


def of_machine(settings: Settings, environment: Mapping[str, str]) -> dict[str, Finding]:
    return {finding.name: finding for finding in machine_findings(settings, environment)}


def test_this_machine_is_fine(tmp_path: Path) -> None:
    found = of_machine(SETTINGS.model_copy(update={"state_dir": tmp_path / "not" / "there"}), {})
    assert all(finding.ok for finding in found.values()), found


def test_variable_that_is_no_setting_is_a_warning(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"state_dir": tmp_path})
    finding = of_machine(settings, {"LEDGER_WORKRES": "2", "PATH": "x", "LEDGER_WORKERS": "2"})["variables"]
    assert finding.level is Level.WARNING
    assert finding.detail == "not settings: LEDGER_WORKRES (is LEDGER_WORKERS meant?)"


def test_crash_points_of_tests_are_a_warning(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"state_dir": tmp_path})
    assert of_machine(settings, {"LEDGER_CRASH": "claimed:1"})["variables"].level is Level.WARNING


def test_state_directory_that_is_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = of_machine(SETTINGS.model_copy(update={"state_dir": tmp_path / "file" / "state"}), {})
    assert not found["state_directory"].ok


def test_no_servers_and_no_stack_is_away(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"kafka_bootstrap": None, "state_dir": tmp_path})
    finding = of_machine(settings, {})["stack"]
    assert finding.level is Level.AWAY
    assert "`ledger up`" in finding.remedy


# Windows


@pytest.mark.parametrize(
    ("committed", "members", "end", "changelog", "level", "said"),
    [
        pytest.param({}, 0, 5, 0, Level.INFORMATION, "no windows worker has run", id="never kept"),
        pytest.param({0: 5}, 1, 5, 9, Level.FINE, "0 entries wait; 1 worker", id="in step"),
        pytest.param({0: 2}, 2, 5, 9, Level.FINE, "3 entries wait; 2 workers", id="behind and at work"),
        pytest.param({0: 2}, 0, 5, 9, Level.WARNING, "3 entries wait; 0 workers", id="nobody at work"),
        pytest.param({0: 5}, 1, 5, 0, Level.WRONG, "changelog is empty", id="changelog lost"),
    ],
)
def test_windows_are_looked_at(
    committed: dict[int, int], members: int, end: int, changelog: int, level: Level, said: str
) -> None:
    [finding] = windows_findings(committed, members, {0: (0, end)}, {0: (0, changelog)})
    assert (finding.level, said in finding.detail) == (level, True)
