"""Three positions of each partition, compared: the books', the consumer group's, and the log's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.doctor.finding import Finding, Level, fine, judged

BOOKS_BEHIND = (
    "Start no workers: they would go on at the group's position and skip what lies between. "
    "The books are older than the group's position (a restored backup, or a fail-over that lost commits): "
    "replay the gap first."
)
EXPIRED = (
    "Records expired before they were posted. Restore them to the topic from elsewhere, or accept the loss; "
    "keep them for longer with LEDGER_PAYMENTS_RETENTION_DAYS."
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
    yield _against_group(log, books)
    yield _against_log(log, books)
    yield _lag(log)


def _against_group(log: Log, books: Mapping[int, int]) -> Finding:
    behind = [
        f"partition {partition}: the books stand at {stand}, the group at {committed}"
        for partition, committed in sorted(log.committed.items())
        if (stand := _stand(log, books, partition)) < committed
    ]
    detail = "; ".join(behind) or "the books are not behind the consumer group"
    return judged("positions", detail, wrong=BOOKS_BEHIND if behind else "")


def _stand(log: Log, books: Mapping[int, int], partition: int) -> int:
    """Books that have seen nothing of a partition stand where its log begins."""
    first, _ = log.bounds.get(partition, (0, 0))
    return books.get(partition, first)


def _against_log(log: Log, books: Mapping[int, int]) -> Finding:
    beyond, expired = [], []
    for partition, stand in sorted(books.items()):
        first, end = log.bounds.get(partition, (0, 0))
        if stand > end:
            beyond.append(f"partition {partition}: the books stand at {stand}, the log ends at {end}")
        elif stand < first:
            expired.append(f"partition {partition}: the books stand at {stand}, the log begins at {first}")
    detail = "; ".join(beyond + expired) or "the log holds everything that is not posted yet"
    return judged("log", detail, wrong=LOG_SHORT if beyond else EXPIRED if expired else "")


def _lag(log: Log) -> Finding:
    lags = {
        partition: end - log.committed.get(partition, first)
        for partition, (first, end) in sorted(log.bounds.items())
    }
    total = sum(lags.values())
    if not total:
        return fine("lag", f"0 in {len(lags)} partitions")
    each = ", ".join(f"{partition}: {lag:,}" for partition, lag in lags.items() if lag)
    return Finding("lag", Level.INFORMATION, f"{total:,} records wait; by partition {each}")
