"""Kafka as the ledger reads and writes it: chunks whose frontier is exact, and whole batches."""

from streams.transport.app import ChunkedApp, chunked_app, chunked_topic
from streams.transport.chunk import Chunk
from streams.transport.errors import ConfigurationError, PublishError, RecordTooLargeError, TransportError
from streams.transport.exits import Exit
from streams.transport.health import PartitionState, partition_states
from streams.transport.lanes import Handler, PartitionLanes
from streams.transport.publisher import BatchPublisher, Outgoing
from streams.transport.worker import run, run_worker

__all__ = [
    "BatchPublisher",
    "Chunk",
    "ChunkedApp",
    "ConfigurationError",
    "Exit",
    "Handler",
    "Outgoing",
    "PartitionLanes",
    "PartitionState",
    "PublishError",
    "RecordTooLargeError",
    "TransportError",
    "chunked_app",
    "chunked_topic",
    "partition_states",
    "run",
    "run_worker",
]
