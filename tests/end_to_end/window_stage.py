"""Entries put on their topic directly, and what windows workers make of them, against a second opinion."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from time import monotonic

import aiohttp
import msgspec
import orjson

from ledger.adapters.workers.wire import WINDOWS_PATH
from ledger.application.stream_reading import StreamWindows
from ledger.domain.window import WindowSize
from streams.transport.publisher import Outgoing
from tests.end_to_end.books import WAIT_S, Books, Worker
from tests.window_history import Entry, history, naive_holes, naive_window, naive_windows

WINDOWS = ("worker", "roll-windows")
FOR_EVER = 2**40
LOOK_S = 0.1


def entry_record(topic: str, entry: Entry) -> Outgoing:
    """Write an entry as posting workers do."""
    key, asset = entry.name.split(" ")
    tenant, account = key.split("/")
    body = {
        "specversion": "1.0",
        "id": f"{account}/{entry.version}",
        "source": "ledger",
        "type": "entry.posted.v1",
        "tenant": tenant,
        "data": {
            "account": account,
            "asset": asset,
            "amount": entry.amount,
            "version": entry.version,
            "balance": entry.credits - entry.debits,
            "posted_debits": entry.debits,
            "posted_credits": entry.credits,
            "normal_side": "credit",
            "posted_at": _iso(entry.at_us),
        },
    }
    return Outgoing(topic, key.encode(), orjson.dumps(body))


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Stage:
    """What was put on the topic so far."""

    books: Books
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    random: Random = field(default_factory=lambda: Random(4))

    def make(self, accounts: int, entries_each: int, name: str = "customer") -> list[Entry]:
        """Make histories of a few days, in the order of their times."""
        made: list[Entry] = []
        for number in range(accounts):
            moves = [
                (self.random.randrange(-500, 999) or 1, self.random.choice((1, 40, 900, 20_000)))
                for _ in range(entries_each)
            ]
            made += history(f"acme/{name}:{number} USD/2", moves)
        return sorted(made, key=lambda entry: entry.at_us)

    async def publish(self, entries: Sequence[Entry]) -> None:
        """Put them on the topic in this order."""
        for entry in entries:
            self.entries.setdefault(entry.name, []).append(entry)
        topic = self.books.settings.entries_topic
        await self.books.publisher.publish([entry_record(topic, entry) for entry in entries])

    async def until_right(self, *workers: Worker) -> None:
        """Wait until every account's windows, asked of the workers, are those of the second opinion."""
        deadline = monotonic() + WAIT_S
        async with aiohttp.ClientSession() as session:
            left = sorted(self.entries)
            while left:
                wrong = [name for name in left if not await self._is_right(session, workers, name)]
                assert monotonic() < deadline or not wrong, f"{len(wrong)} wrong, as {wrong[0]}"
                left = wrong
                if left:
                    await asyncio.sleep(LOOK_S)

    async def _is_right(self, session: aiohttp.ClientSession, workers: Iterable[Worker], name: str) -> bool:
        for size in WindowSize:
            found = await self._ask(session, workers, name, size)
            if found is None or found.life is None:
                return False
            mine = self.entries[name]
            truth = naive_window(mine)
            windows = {each.start: each.window for each in found.windows}
            expected = {
                start: each for start, each in naive_windows(mine, size).items() if start >= found.kept_from
            }
            if windows != expected or found.life.holes != naive_holes(entry.version for entry in mine):
                return False
            if truth is None or (found.life.last_version, found.life.low) != (truth.last_version, truth.low):
                return False
        return True

    async def _ask(
        self, session: aiohttp.ClientSession, workers: Iterable[Worker], name: str, size: WindowSize
    ) -> StreamWindows | None:
        key, asset = name.split(" ")
        tenant, account = key.split("/")
        query = {"tenant": tenant, "account": account, "asset": asset, "size": size.value}
        bounds = {"first": "0", "before": str(FOR_EVER), "limit": "1000"}
        headers = {"authorization": f"Bearer {self.books.settings.internal_token}"}
        for worker in workers:
            if worker.port:
                url = f"http://127.0.0.1:{worker.port}{WINDOWS_PATH}"
                async with session.get(url, params=query | bounds, headers=headers) as answer:
                    if answer.status == 200:
                        return msgspec.json.decode(await answer.read(), type=StreamWindows)
        return None
