"""The books written out by cursors over one snapshot, for operators: of every tenant, in bounded memory."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.exports import ExportQuery, Row, What

RUN_ROWS = 5000

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local work_mem = '32MB'
"""


class PostgresExports:
    """Exports over one repeatable-read transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator["PostgresExports"]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(_LIMITS)
                yield cls(connection)

    async def is_there(self, tenant: str | None, account: str | None) -> bool:
        found = await self._connection.fetchval(sql("export_is_there"), tenant, account)
        return bool(found)

    async def rows(self, query: ExportQuery) -> AsyncIterator[Sequence[Row]]:
        for statement, arguments in _statements(query):
            cursor = await self._connection.cursor(sql(statement), *arguments, timeout=LONG_S)
            while found := await cursor.fetch(RUN_ROWS, timeout=LONG_S):
                yield [tuple(row.values()) for row in found]


def _statements(query: ExportQuery) -> Iterator[tuple[str, Sequence[Any]]]:
    of = (query.tenant, query.account, query.asset)
    match query.what:
        case What.ENTRIES:
            yield "export_entries", (*of, query.since, query.before)
        case What.STATEMENT:
            yield "export_statement_edge", (*of, query.since, False)
            yield "export_statement", (*of, query.since, query.before)
            yield "export_statement_edge", (*of, query.before, True)
        case What.BALANCES if query.at is None:
            yield "export_balances", of
        case What.BALANCES:
            yield "export_balances_at", (*of, query.at)
        case What.TRIAL_BALANCE if query.at is None:
            yield "export_trial_balance", (query.tenant, query.asset)
        case What.TRIAL_BALANCE:
            yield "export_trial_balance_at", (query.tenant, query.asset, query.at)
