"""The provider's own book: one line a key, on disk before anybody is told of it."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

T = TypeVar("T")

_SCHEMA = """
create table if not exists lines (
    number integer primary key,
    key text not null unique,
    kind text not null,
    tenant text not null,
    payment text not null,
    amount integer not null,
    asset text not null,
    account text not null,
    reference text not null,
    charge text not null,
    state text not null,
    named text not null,
    reason text not null,
    booked_at real not null,
    final_at real not null
) strict;
create table if not exists scripts (one integer primary key check (one = 1), script blob, set_at real) strict;
"""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A charge or refund and what was decided of it; times in seconds since 1970. Pending until `final_at`."""

    key: str
    kind: Literal["charge", "refund"]
    tenant: str
    payment: str
    amount: int
    asset: str
    account: str = ""
    reference: str = ""
    charge: str = ""
    state: Literal["accepted", "declined"]
    named: str
    """The provider's own reference."""
    reason: str = ""
    booked_at: float
    final_at: float


_COLUMNS = ", ".join(Line.__struct_fields__)
_INSERT = f"insert into lines ({_COLUMNS}) values ({', '.join('?' * len(Line.__struct_fields__))})"  # noqa: S608
_PAGE = f"select number, {_COLUMNS} from lines where number > ? order by number limit ?"  # noqa: S608
_TOTALS = """
select tenant, asset, kind, case when final_at > ? then 'pending' else state end as state,
       count(*) as count, sum(amount >> 32) as high, sum(amount & 4294967295) as low
from lines group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
_TWICE = """
select kind, tenant, payment, count(*) as count from lines where state = 'accepted'
group by 1, 2, 3 having count(*) > 1 limit 100
"""


class Book:
    """A SQLite file. Lines that come together are committed together, in a thread of their own."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        # A killed process loses nothing; a machine without power may. To wait for the disk here as well would
        # measure that disk twice, as it is also that of the ledger.
        self._connection.execute("pragma synchronous = normal")
        self._connection.executescript(_SCHEMA)
        self._waiting: list[tuple[Line, asyncio.Future[None]]] = []
        self._woken = asyncio.Event()

    def all_lines(self) -> Iterator[Line]:
        """Read the whole book, before anything is served."""
        for row in self._connection.execute(f"select {_COLUMNS} from lines order by number"):  # noqa: S608
            yield msgspec.convert(dict(row), Line)

    def write(self, line: Line) -> "asyncio.Future[None]":
        """Write a line of a new key; done when it is durable, else with what went wrong."""
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append((line, durable))
        self._woken.set()
        return durable

    async def run(self) -> None:
        """Commit what comes, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._in_thread(self._commit, [line for line, _ in batch])
            except Exception as fault:
                for _, durable in batch:
                    durable.set_exception(fault)
            else:
                for _, durable in batch:
                    durable.set_result(None)

    async def totals(self, now: float) -> dict[str, Any]:
        """Give sums by tenant, asset, kind and state, and payments that were moved more than once."""
        return await self._in_thread(self._totals, now)

    async def page(self, after: int, limit: int) -> Sequence[dict[str, Any]]:
        """Give lines with their numbers, from the one after `after`."""
        return await self._in_thread(self._rows, _PAGE, after, limit)

    def script(self) -> tuple[bytes, float] | None:
        """Give the script that was set last, and when."""
        row = self._connection.execute("select script, set_at from scripts").fetchone()
        return None if row is None else (row["script"], row["set_at"])

    async def set_script(self, script: bytes, at: float) -> None:
        """Keep a script over restarts."""
        put = "insert or replace into scripts (one, script, set_at) values (1, ?, ?)"
        await self._in_thread(self._connection.execute, put, (script, at))

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()

    async def _in_thread(self, do: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do, *given)

    def _commit(self, lines: Sequence[Line]) -> None:
        try:
            self._connection.execute("begin immediate")
            self._connection.executemany(_INSERT, [msgspec.structs.astuple(line) for line in lines])
            self._connection.execute("commit")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self._connection.execute("rollback")
            raise

    def _totals(self, now: float) -> dict[str, Any]:
        # In two halves, for the sum of many amounts may be more than SQLite can hold.
        totals = self._rows(_TOTALS, now)
        for row in totals:
            row["amount"] = (row.pop("high") << 32) + row.pop("low")
        return {"totals": totals, "twice": self._rows(_TWICE)}

    def _rows(self, query: str, *given: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(query, given)]
