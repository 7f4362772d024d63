"""The chain and the archive: whether they are kept up, by workers of whom nothing else shows that they are gone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.doctor.finding import Finding, Level, counted, judged

Bounds = Mapping[int, tuple[int, int]]

SWEEPS_MISSED_MAX = 3
UNARCHIVED_MAX = timedelta(minutes=15)
"""A segment is written after a minute, unless it was asked for otherwise."""

CHAIN_GONE = (
    "Nothing that is posted gets its link: start `ledger worker chain-transactions`, which catches up."
)
CHAIN_STUCK = "No sweep came to its end: look at the logs of the chain workers."
ARCHIVE_GONE = (
    "What Kafka deletes is in no archive: start `ledger archive run`, which goes on where the archive ends."
)
ARCHIVE_LATE = (
    "Those records are lost to the archive. `ledger archive run` writes down which, and goes on after them. "
    "Keep records for longer with LEDGER_PAYMENTS_RETENTION_DAYS."
)


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """The chain workers' group on the topic of outcomes, and how far the sweep came."""

    committed: Mapping[int, int]
    members: int
    outcomes: Bounds
    complete_before: datetime | None
    """None: no sweep has ended yet."""


def chain_findings(facts: ChainFacts, now: datetime, *, settle_s: float, sweep_s: float) -> Iterator[Finding]:
    """Judge the chain; `settle_s` and `sweep_s` are the settings."""
    if not facts.committed and not facts.members and facts.complete_before is None:
        yield Finding("chain", Level.INFORMATION, "no chain worker has run: nothing posted has a link")
        return
    lag = sum(
        max(0, end - facts.committed.get(partition, first))
        for partition, (first, end) in facts.outcomes.items()
    )
    oldest = now - timedelta(seconds=settle_s + SWEEPS_MISSED_MAX * sweep_s)
    is_old = facts.complete_before is not None and facts.complete_before < oldest
    swept = (
        "no sweep yet" if facts.complete_before is None else f"swept up to {facts.complete_before:%F %T} UTC"
    )
    detail = f"{lag:,} outcomes wait; {swept}; {counted(facts.members, 'worker')} at work"
    gone = CHAIN_GONE if not facts.members and (lag or is_old) else ""
    yield judged("chain", detail, warning=gone or (CHAIN_STUCK if is_old else ""))


def archive_findings(archived: Bounds, log: Bounds, due: Mapping[int, int]) -> Iterator[Finding]:
    """Judge the archive of a topic; `due` has the offset before which all is older than UNARCHIVED_MAX."""
    if not archived and not any(due.get(each, first) > first for each, (first, _) in log.items()):
        yield Finding("archive", Level.INFORMATION, "nothing is archived yet, and nothing is due")
        return
    ends = {each: archived[each][1] if each in archived else first for each, (first, _) in log.items()}
    expired = [
        f"partition {each}: the archive ends at {ends[each]}, the log begins at {first}"
        for each, (first, _) in sorted(log.items())
        if ends[each] < first
    ]
    overdue = sum(max(0, due.get(each, 0) - ends[each]) for each in log)
    late = sum(max(0, end - ends[each]) for each, (_, end) in log.items())
    minutes = UNARCHIVED_MAX // timedelta(minutes=1)
    detail = f"{late:,} records are not archived, {overdue:,} of them for {minutes} minutes and more"
    yield judged(
        "archive",
        "; ".join(expired) or detail,
        wrong=ARCHIVE_LATE if expired else "",
        warning=ARCHIVE_GONE if overdue else "",
    )
