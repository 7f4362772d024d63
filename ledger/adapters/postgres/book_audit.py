"""The books of providers against the payments, compared in PostgreSQL: on its disk, so in bounded memory."""

from collections.abc import Collection, Sequence

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.provider_books import PAYMENTS_CHECK, BookLine, ProviderBook
from ledger.domain.audit import Check

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local work_mem = '64MB'
"""
_COLUMNS = ("number", "key", "kind", "tenant", "payment", "event_id", "amount", "asset", "state", "named")


class PostgresBookAuditor:
    """A BookAuditor over a pool in the worker's role.

    What our payments know is noted before the book is read, and the lines of the book are looked up after it: so
    neither misses what the other got meanwhile.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def compare(self, book: ProviderBook) -> Check:
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LIMITS)
                await connection.execute(sql("make_book_payments"))
                await connection.execute(sql("make_book_lines"))
                await connection.execute(sql("fill_book_payments"), *_columns(book.providers), timeout=LONG_S)
                lines = await _fill(connection, book)
                await connection.execute("analyze book_payments, book_lines", timeout=LONG_S)
                others = _columns(book.others or ())
                rows = await connection.fetch(
                    sql("audit_book"),
                    *_columns(book.providers),
                    book.others is not None,
                    *others,
                    timeout=LONG_S,
                )
        facts = ({name: value for name, value in row.items() if value is not None} for row in rows)
        return Check(PAYMENTS_CHECK, lines, [{**each, "book": book.label} for each in facts])


async def _fill(connection: Connection, book: ProviderBook) -> int:
    tenants = {tenant for tenant, _ in book.providers}
    count = 0
    async for run in book.lines:
        wanted = run if book.others is not None else [line for line in run if line.tenant in tenants]
        await connection.copy_records_to_table(
            "book_lines", records=_records(wanted, count), columns=_COLUMNS, timeout=LONG_S
        )
        count += len(wanted)
    return count


def _records(lines: Sequence[BookLine], before: int) -> list[tuple[object, ...]]:
    return [
        (
            before + number,
            line.key,
            line.kind,
            line.tenant,
            line.payment,
            line.payment_id,
            line.amount,
            line.asset,
            line.state,
            line.named,
        )
        for number, line in enumerate(lines, 1)
    ]


def _columns(providers: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = sorted(providers)
    return [tenant for tenant, _ in pairs], [name for _, name in pairs]
