"""A worker for tests of the transport: it writes down every record it handled, and every notable signal."""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.types import TP, Message, StreamT

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.transport import Chunk, ChunkedApp, PartitionLanes, chunked_app, chunked_topic, run
from streams.transport.consumer import ChunkedConsumer, ChunkedTransport

BREAKABLE = {
    "fetch": (Fetcher, "_get_actions_per_node"),
    "assign": (GroupCoordinator, "_perform_assignment"),
}
"""What a task of aiokafka's may be unable to do."""

QUIET = {"chunk.joined", "frontier.committed"}  # too many to be of note


class Notes:
    """Lines appended with one write each: what was written is kept when the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self, **facts: Any) -> None:
        """Append one line."""
        os.write(self._file, json.dumps(facts).encode() + b"\n")

    def signal(self, name: str, facts: Mapping[str, Any]) -> None:
        """Listen to signals."""
        if name not in QUIET:
            self.add(signal=name, **facts)


def main() -> int:
    """Run one worker as the arguments say, with settings from the environment."""
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "WARNING"), stream=sys.stderr)
    options = _arguments()
    return run(lambda: make_app(options))


def make_app(options: argparse.Namespace) -> ChunkedApp:
    """The app under test: an agent on the topic, and a table if wanted."""
    notes = Notes(options.notes)
    app = chunked_app(options.group, Settings(), Signals(notes.signal), [options.topic])
    if options.drop_share:
        app.transport = dropping(options.drop_share)(app.conf.broker_consumer, app, app.flow)
    if options.assigning_s:
        _take_long(app, options.assigning_s)
    if options.no_memory_to:
        _break(options.no_memory_to)
    table = app.Table(table_name(options.group), key_type=bytes, default=int) if options.table else None

    async def handle(chunk: Chunk) -> None:
        await asyncio.sleep(options.handler_ms / 2000)
        if options.wait_for:
            with app.flow.waiting_for(options.wait_for):
                await asyncio.sleep(options.wait_s)
        if options.fail_at is not None and chunk.end_offset > options.fail_at:
            raise RuntimeError("a fault that was asked for")
        notes.add(partition=chunk.partition, handled=runs([record.offset for record in chunk.records]))
        if table is not None:
            table[b"%d" % chunk.partition] = chunk.end_offset
        await asyncio.sleep(options.handler_ms / 2000)

    lanes = PartitionLanes(app, handle)

    @app.agent(chunked_topic(app, options.topic), name="note_records")
    async def note_records(stream: StreamT[Any]) -> None:
        if options.agent_fault:
            raise RuntimeError("a fault that was asked for")
        await lanes.run(stream)

    return app


def _take_long(app: ChunkedApp, seconds: float) -> None:
    """Have an assignment take long, as that of large tables does."""

    async def wait(*_: Any, **__: Any) -> None:
        await asyncio.sleep(seconds)
        app.flow.signals.emit("assignment.ended")

    app.on_partitions_assigned.connect(wait, weak=False)


def _break(what: str) -> None:
    """Have a task of aiokafka's run out of memory when it does something for the first time."""

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    owner, name = BREAKABLE[what]
    setattr(owner, name, fail)


def dropping(share: float) -> type[ChunkedTransport]:
    """A transport that loses chunks on their way to the agent, as Faust does around a recovery."""
    chance = Random()

    class DroppingConsumer(ChunkedConsumer):
        def _messages(self, tp: TP, chunk: Chunk) -> Iterator[tuple[TP, Message]]:
            if chance.random() >= share:
                yield from super()._messages(tp, chunk)

    class DroppingTransport(ChunkedTransport):
        Consumer = DroppingConsumer

    return DroppingTransport


def table_name(group: str) -> str:
    """The table's name; its changelog topic is made before the workers start."""
    return f"{group}-last"


def runs(offsets: list[int]) -> list[list[int]]:
    """Offsets as [first, last] of each run without holes."""
    found: list[list[int]] = []
    for offset in offsets:
        if found and offset == found[-1][1] + 1:
            found[-1][1] = offset
        else:
            found.append([offset, offset])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--handler-ms", type=float, default=20.0)
    parser.add_argument("--fail-at", type=int)
    parser.add_argument("--agent-fault", action="store_true")
    parser.add_argument("--drop-share", type=float, default=0.0)
    parser.add_argument("--assigning-s", type=float, default=0.0)
    parser.add_argument("--no-memory-to", choices=BREAKABLE)
    parser.add_argument("--wait-for")
    parser.add_argument("--wait-s", type=float, default=0.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
