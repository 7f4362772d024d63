"""What no record may do to the stream: names of any bytes, records that unpack to much, letters that fit nowhere."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from prometheus_client import CollectorRegistry

from ledger.adapters.kafka.records import AnyRecords, FetchedRecord, read_all_records
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetterReason
from ledger.contract.decode import ADDRESS_BYTES_MAX
from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Facts, Signals
from streams.agents.post_events import sort_records
from streams.cli.send import LineTooLargeError, Sender
from streams.publishing import PatientPublisher
from streams.sending import Line, read_lines
from streams.topics import topics_of
from streams.transport.errors import RecordTooLargeError
from streams.transport.exits import Exit
from streams.transport.flow import Flow
from streams.transport.publisher import BatchPublisher, Outgoing, _fill
from streams.transport.watchdog import Watchdog
from tests.builders import body, encoded

NAME = b"\xff\xfe".decode("utf-8", "surrogateescape")
LETTERS, OUTCOMES = "ledger.dead-letters", "ledger.outcomes"


def batch_of(*records: Outgoing, compression: int = 0) -> bytes:
    """The batches that the publisher makes of records."""
    raw, begin = b"", 0
    while begin < len(records):
        builder = BatchBuilder(10_000, compression)
        begin = _fill(builder, list(records), begin, len(records))
        raw += bytes(builder._build())
    return raw


def read(raw: bytes) -> list[tuple[Any, ...]]:
    """Every record in batches."""
    found, records = [], AnyRecords(raw)
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(each.key, each.value, tuple(each.headers)) for each in batch]
    return found


def test_header_names_of_any_bytes_come_and_go_unchanged() -> None:
    headers = ((NAME, b"\x00"), ("plain", None), ("é", b""))
    records = [Outgoing("t", b"k", b"%d" % number, headers if number == 1 else ()) for number in range(3)]

    assert read(batch_of(*records, compression=3)) == [
        (b"k", b"0", ()),
        (b"k", b"1", headers),
        (b"k", b"2", ()),
    ]


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_ordinary_batches_are_read_as_aiokafka_reads_them(compression: int) -> None:
    raw = batch_of(*(Outgoing("t", None, b"v", (("h", b"x"),)) for _ in range(5)), compression=compression)

    assert read(raw) == [(None, b"v", (("h", b"x"),)) for _ in range(5)]
    assert AnyRecords(raw).size_in_bytes() == MemoryRecords(raw).size_in_bytes()


def test_a_batch_is_read_again_where_a_name_is_not_utf_8() -> None:
    builder = BatchBuilder(1000, 0)
    builder.append(timestamp=None, key=b"k", value=b"v", headers=[("zz", b"x")])
    raw = bytearray(builder._build())
    at = raw.index(b"zz")
    raw[at : at + 2] = b"\xff\xfe"
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(bytes(raw)).next_batch())

    assert [tuple(each.headers) for each in AnyRecords(bytes(raw)).next_batch()] == [((NAME, b"x"),)]


def test_every_consumer_of_the_process_reads_any_name() -> None:
    read_all_records()

    assert fetcher.MemoryRecords is AnyRecords


def test_fetched_records_are_made_as_aiokafka_makes_its_own() -> None:
    read_all_records()
    assert fetcher.ConsumerRecord is FetchedRecord
    assert FetchedRecord.__struct_fields__ == tuple(ConsumerRecord.__dataclass_fields__)


# Records to events and letters


def record(value: bytes, key: bytes | None = None, headers: tuple[tuple[str, bytes], ...] = ()) -> Any:
    return FetchedRecord("payments", 0, 7, 0, 0, key, value, None, 0, 0, headers)


def test_a_name_that_is_not_utf_8_makes_no_dead_letter() -> None:
    events, letters = sort_records([record(encoded(body()), headers=((NAME, b""),))], 10_000, 10_000)

    assert (len(events), letters) == (1, [])


@pytest.mark.parametrize(
    "large",
    [{"key": bytes(ADDRESS_BYTES_MAX + 1)}, {"headers": (("h", bytes(ADDRESS_BYTES_MAX)),)}],
    ids=["key", "headers"],
)
def test_an_event_with_too_large_a_key_or_headers_is_a_dead_letter(large: dict[str, Any]) -> None:
    events, letters = sort_records([record(encoded(body()), **large)], 10_000, 1024**2)

    assert (events, [letter.reason for letter in letters]) == ([], [DeadLetterReason.TOO_LARGE])


def test_what_comes_of_payments_may_be_larger_than_they() -> None:
    payments, *derived = (topic.configs.get("max.message.bytes") for topic in topics_of(Settings()))

    assert all(int(size) >= 2 * int(payments or 0) for size in derived if size is not None)


# Publishing


class Refusing(BatchPublisher):
    """Takes every record but one."""

    def __init__(self, refused: Outgoing) -> None:
        super().__init__("nowhere:9092")
        self.published: list[Outgoing] = []
        self._refused = refused

    async def start(self) -> None:
        """Connect to nothing."""

    async def publish(self, records: Any) -> None:
        if any(each is self._refused for each in records):
            raise RecordTooLargeError("too large", self._refused)
        self.published += records


def patient(publisher: Refusing) -> tuple[PatientPublisher, list[tuple[str, Facts]]]:
    heard: list[tuple[str, Facts]] = []
    signals = Signals(lambda name, facts: heard.append((name, facts)))
    return PatientPublisher(publisher, Flow(Settings(), signals, ["payments"]), signals), heard


async def test_a_dead_letter_that_no_topic_takes_is_told_and_left_out() -> None:
    large = Outgoing(LETTERS, b"k", b"large", (("ledger-partition", b"2"), ("ledger-offset", b"41")))
    rest = [Outgoing(OUTCOMES, b"k", b"1"), Outgoing(LETTERS, b"k", b"2")]
    refusing = Refusing(large)
    publisher, heard = patient(refusing)

    await publisher.publish([rest[0], large, rest[1]], (LETTERS,))

    facts = {"fault": "too large", "topic": LETTERS, "partition": "2", "offset": "41"}
    assert (refusing.published, heard) == (rest, [("record.not_published", facts)])


async def test_an_outcome_that_no_topic_takes_is_a_fault() -> None:
    large = Outgoing(OUTCOMES, b"k", b"large")
    publisher, heard = patient(Refusing(large))

    with pytest.raises(RecordTooLargeError):
        await publisher.publish([large], (LETTERS,))
    assert heard == []


async def test_send_tells_the_line_that_no_topic_takes() -> None:
    sender = Sender(Settings(), "nowhere:9092", wait_s=0, skip_invalid=False, quiet=True)

    class RefusingLast(Refusing):
        async def publish(self, records: Any) -> None:
            raise RecordTooLargeError("too large", records[-1])

    lines = [Line(number, None, None, b"x") for number in (1, 2, 4)]
    with pytest.raises(LineTooLargeError, match=r"^line 4 is larger"):
        await sender._publish(RefusingLast(Outgoing("t", None, None)), lines)


def test_send_refuses_a_key_that_would_make_a_dead_letter() -> None:
    event = encoded(body(partitionkey="k" * ADDRESS_BYTES_MAX))

    [line] = read_lines([event], fill=False)
    assert str(line.fault).startswith("too_large")


# Watching and counting


def test_a_watchdog_that_fails_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[int] = []
    app = SimpleNamespace(flow=Flow(Settings(), Signals(), ["payments"]))  # which has no consumer
    watchdog = Watchdog(cast(Any, app), 0.2, ended.append)

    with caplog.at_level(logging.CRITICAL + 1):
        watchdog.start()
        watchdog._thread.join(5)
    assert ended == [Exit.STALLED]


def test_what_is_waited_for_is_counted() -> None:
    flow = Flow(Settings(), Signals(), ["payments"])

    with flow.waiting_for("postgres"), flow.waiting_for("kafka"):
        assert flow.waits() == ("kafka", "postgres")
    assert flow.waits() == ()


@pytest.mark.parametrize(
    ("signal", "facts", "metric", "count"),
    [
        ("hole.crossed", {"offsets": 3}, "ledger_holes_crossed_total", 3),
        ("records.expired", {"lost": 7}, "ledger_expired_records_total", 7),
        ("record.not_published", {}, "ledger_letters_not_published_total", 1),
    ],
)
def test_what_is_missing_is_counted(signal: str, facts: Facts, metric: str, count: int) -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry)(signal, facts)

    assert registry.get_sample_value(metric) == count
