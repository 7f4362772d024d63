"""Three positions of each partition, compared: the books', the consumer group's, and the log's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ledger.application.gaps import Gap, Remedy, Stand, gaps_of
from streams.doctor.finding import Finding, Level, counted, fine, judged

BOOKS_BEHIND = (
    "Workers refuse to go on at the group's position: they would skip what lies between. The books are older "
    "than it (a restored backup, or a fail-over that lost commits), and the log still holds the records: "
    "`ledger replay --live --since-books --why TEXT` posts them as they were decided before they were lost, and the "
    "workers go on. `ledger gap rewind`, with the workers stopped, lets them post the same anew."
)
EXPIRED = (
    "Records expired before they were posted, and workers refuse to go on without them. `ledger gap accept` writes "
    "the loss down and lets them; whoever has the events can send them again. Keep records for longer with "
    "LEDGER_PAYMENTS_RETENTION_DAYS."
)
LOG_SHORT = (
    "Kafka lost records, or the topic was made anew, or this is another Kafka: "
    "set the right LEDGER_KAFKA_BOOTSTRAP, or begin new books in another LEDGER_POSTGRES_SCHEMA."
)


@dataclass(frozen=True, slots=True)
class Log:
    """What Kafka holds of a topic, by partition: where it begins and ends, and what the group has committed."""

    bounds: Mapping[int, tuple[int, int]]
    committed: Mapping[int, int]


def position_findings(log: Log, books: Mapping[int, int]) -> Iterator[Finding]:
    """Compare; `books` has the next offset by partition. Read it after `log.committed` and before `log.bounds`."""
    gaps = list(gaps_of(Stand("", books, log.bounds, log.committed)))
    yield _against_group(log, [gap for gap in gaps if gap.remedy is Remedy.REWIND])
    yield _against_log(log, books, [gap for gap in gaps if gap.remedy is Remedy.ACCEPT])
    yield _lag(log)


def _against_group(log: Log, held: Sequence[Gap]) -> Finding:
    behind = [
        f"partition {gap.partition}: the books stand at {gap.first}, the group at {log.committed[gap.partition]}"
        for gap in held
    ]
    detail = "; ".join(behind) or "the books are not behind the consumer group"
    return judged("positions", detail, wrong=BOOKS_BEHIND if behind else "")


def _against_log(log: Log, books: Mapping[int, int], gone: Sequence[Gap]) -> Finding:
    beyond = [
        f"partition {partition}: the books stand at {stand}, the log ends at {end}"
        for partition, stand in sorted(books.items())
        if stand > (end := log.bounds.get(partition, (0, 0))[1])
    ]
    expired = [
        f"partition {gap.partition}: the books stand at {gap.first}, the log begins at {gap.next}"
        for gap in gone
    ]
    detail = "; ".join(beyond + expired) or "the log holds everything that is not posted yet"
    return judged("log", detail, wrong=LOG_SHORT if beyond else EXPIRED if expired else "")


def _lag(log: Log) -> Finding:
    lags = {
        partition: end - log.committed.get(partition, first)
        for partition, (first, end) in sorted(log.bounds.items())
    }
    total = sum(lags.values())
    if not total:
        return fine("lag", f"0 in {counted(len(lags), 'partition')}")
    each = ", ".join(f"{partition}: {lag:,}" for partition, lag in lags.items() if lag)
    return Finding("lag", Level.INFORMATION, f"{counted(total, 'record')} to handle; by partition {each}")
