"""What is private in Faust, Mode and aiokafka and yet stood upon: a new version that changes it fails here."""

import asyncio
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import mode
import pytest
from aiokafka import client, conn
from aiokafka.consumer import fetcher, group_coordinator, subscription_state
from aiokafka.errors import CommitFailedError
from aiokafka.producer import message_accumulator
from aiokafka.record import default_records
from faust.app.base import App
from faust.streams import Stream, _current_event
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from mode.supervisors import CrashingSupervisor
from mode.threads import QueueServiceThread, ServiceThread

AIOKAFKA_STATE = subscription_state.TopicPartitionState

SIGNATURES: list[tuple[Callable[..., Any], str]] = [
    # what the consumer overrides
    (consumer.Consumer.getmany, "self, timeout"),
    (consumer.Consumer.ack, "self, message"),
    (consumer.Consumer.stop_flow, "self"),
    (consumer.Consumer._filter_tps_with_pending_acks, "self, topics"),
    (consumer.Consumer._new_offset, "self, tp"),
    (consumer.Consumer._should_commit, "self, tp, offset"),
    (consumer.ThreadDelegateConsumer._commit, "self, offsets"),
    (consumer.ThreadDelegateConsumer._seek, "self, partition, offset"),
    (consumer.ThreadDelegateConsumer.seek_to_committed, "self"),
    (driver.Consumer._new_consumer_thread, "self"),
    (driver.Consumer._to_message, "self, tp, record"),
    (driver.Consumer.verify_event_path, "self, now, tp"),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, "self, transport"),
    (driver.AIOKafkaConsumerThread.on_partitions_assigned, "self, assigned, generation_id"),
    (client.AIOKafkaClient.send, "self, node_id, request, group"),
    (conn.AIOKafkaConnection.send, "self, request, expect_response"),
    (conn.AIOKafkaConnection._send_sasl_token, "self, payload, expect_response"),
    (driver.AIOKafkaConsumerThread._commit, "self, offsets"),
    # what it calls
    (driver.AIOKafkaConsumerThread._ensure_consumer, "self"),
    (driver.AIOKafkaConsumerThread.seek_wait, "self, partitions"),
    (consumer.Consumer._get_active_partitions, "self"),
    (QueueServiceThread.call_thread, "self, fun, args, kwargs"),
    (App.crash, "self, reason"),
    (App._stop_consumer, "self"),
    (Stream.noack, "self"),
    (Stream.events, "self"),
    (group_coordinator.GroupCoordinator._start_heartbeat_task, "self"),
    (fetcher.Fetcher._create_fetch_waiter, "self"),
    (fetcher.Fetcher._notify, "self, future"),
    (group_coordinator.GroupCoordinator.check_errors, "self"),
    (fetcher.FetchResult._update_position, "self"),
    (fetcher.FetchResult.has_more, "self"),
    (fetcher.FetchResult.check_assignment, "self, tp"),
    (fetcher.FetchError.check_raise, "self"),
    (subscription_state.SubscriptionState.fetch_context, "self"),
    (subscription_state.Assignment.state_value, "self, tp"),
    (default_records._DefaultRecordBatchPy._maybe_uncompress, "self"),
]


def parameters(function: Callable[..., Any]) -> str:
    """The names of a function's parameters."""
    return ", ".join(inspect.signature(inspect.unwrap(function)).parameters)


def source(subject: Any) -> str:
    """The source text of something that is relied on by its way of working."""
    return inspect.getsource(inspect.unwrap(subject))


def test_the_versions_are_those_that_were_read() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(("function", "expected"), SIGNATURES, ids=[f[0].__qualname__ for f in SIGNATURES])
def test_a_function_that_is_overridden_or_called_keeps_its_parameters(
    function: Callable[..., Any], expected: str
) -> None:
    actual = [name for name in parameters(function).split(", ") if name not in {"_", "__"}]

    assert ", ".join(actual) == expected


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (AIOKAFKA_STATE, "position"),
        (AIOKAFKA_STATE, "has_valid_position"),
        (subscription_state.SubscriptionState, "reassignment_in_progress"),
        (fetcher.Fetcher, "error_future"),
        (aiokafka.AIOKafkaConsumer, "beginning_offsets"),
        (ServiceThread, "should_stop"),
        (CrashingSupervisor, "_contribute_to_service"),
    ],
)
def test_an_attribute_that_is_read_is_there(owner: type, name: str) -> None:
    assert hasattr(owner, name)


def test_aiokafka_hands_out_a_fetch_only_from_its_position_and_moves_it_at_once() -> None:
    check, getall = source(fetcher.FetchResult.check_assignment), source(fetcher.FetchResult.getall)

    assert "position != self._partition_records.next_fetch_offset" in check
    assert "self._update_position()" in getall
    assert "await" not in getall


def test_aiokafka_keeps_what_it_fetched_and_the_ends_of_logs_where_they_are_looked_for() -> None:
    text = source(fetcher.Fetcher)

    for name in (
        "self._records = ",
        "self._wait_consume_future = ",
        "tp_state.lso = ",
        "tp_state.highwater = ",
    ):
        assert name in text
    asked = source(fetcher.Fetcher._get_actions_per_node)
    assert "if tp in self._records:" in asked, "what rests is kept from being asked for"
    assert "backoff = record.calculate_backoff()" in asked
    assert "self._fetch_max_wait_ms," in asked
    made = source(aiokafka.AIOKafkaConsumer)
    assert "self._sync_task = " in source(client.AIOKafkaClient)
    for name in ("_fetch_max_wait_ms", "_isolation_level", "_max_poll_records", "_fetcher", "_closed"):
        assert f"self.{name}" in made


async def test_aiokafka_keeps_its_connections_and_what_came_over_them_where_they_are_looked_for() -> None:
    assert "self._conns[(node_id, group)]" in source(client.AIOKafkaClient.send)
    assert "self._last_action = " in source(conn.AIOKafkaConnection._handle_frame)
    assert "self._reader = " in source(conn.AIOKafkaConnection)
    reader: Any = asyncio.StreamReader()
    reader.feed_data(b"answer")
    assert len(reader._buffer) == len("answer")


def test_a_batch_of_aiokafka_counts_what_its_builder_takes() -> None:
    builder = message_accumulator.BatchBuilder(1000, 0)
    assert builder.append(timestamp=None, key=b"k", value=b"v") is not None
    assert (builder.record_count(), builder._relative_offset) == (1, 1)
    for inside in (builder._builder, default_records._DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 1000)):
        assert inside.append(1, 0, b"k", b"v", [("name", b"value")]) is not None
    assert "self._builder.append(" in source(message_accumulator.BatchBuilder.append)


def test_faust_still_loses_its_way_where_the_transport_goes_another() -> None:
    # Each of these is a reason for code of ours: when one fails, that code may have become needless.
    assert "already rebalanced" not in str(CommitFailedError())
    assert "fetch_max_wait_ms=1500" in source(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert "self.wait_first" in source(consumer.Consumer._drain_messages)
    assert "get_read_offset(tp)" in source(consumer.Consumer._drain_messages)


def test_faust_seeks_last_stops_the_flow_first_and_waits_for_what_is_unacked() -> None:
    from faust.tables.recovery import Recovery

    resume = source(Recovery._resume_streams)
    assert resume.index("perform_seek") < resume.index("resume_flow")
    for caller in (App._on_partitions_revoked, App._stop_consumer):
        text = source(caller)
        assert text.index("stop_flow") < text.index("_consumer_wait_empty")
    assert "self._unacked_messages" in source(consumer.Consumer.wait_empty)
    assert "_waiting_for_ack" in source(consumer.Consumer._wait_for_ack)


def test_a_message_takes_what_the_transport_puts_into_it() -> None:
    names = list(inspect.signature(ConsumerMessage.__init__).parameters)[1:13]

    assert names == [
        "topic", "partition", "offset", "timestamp", "timestamp_type", "headers",
        "key", "value", "checksum", "serialized_key_size", "serialized_value_size", "tp",
    ]  # fmt: skip


def test_table_writes_find_the_event_in_a_context_variable() -> None:
    assert _current_event.name == "current_event"
    assert "_current_event.get" in source(faust.streams.current_event)


def test_mode_runs_the_consumer_in_a_thread_with_a_loop_of_its_own() -> None:
    assert "thread_loop" in source(ServiceThread.__init__)
    assert issubclass(driver.AIOKafkaConsumerThread, mode.threads.QueueServiceThread)


def test_aiokafka_looks_up_its_reader_of_records_where_ours_stands() -> None:
    assert "= MemoryRecords(" in inspect.getsource(fetcher.Fetcher)


def test_the_slow_reader_and_the_slow_builder_decode_and_encode_names_themselves() -> None:
    assert '.decode("utf-8")' in inspect.getsource(default_records._DefaultRecordBatchPy._read_msg)
    assert '.encode("utf-8")' in inspect.getsource(default_records._DefaultRecordBatchBuilderPy)
