"""Payments as readers see them: the API those of one tenant, operators those of all."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.payment_rows import numbered_line, payment
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tables import payments, tenants
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.payment_ports import NumberedLine, Payment, PaymentKey
from ledger.domain.payments.saga import State

Connect = Callable[[], AbstractAsyncContextManager[Connection]]

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


class PostgresPaymentReader:
    """A PaymentReader; what its connections may see is all that it finds."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @classmethod
    def of_tenant(cls, pool: TenantPool, tenant_id: int) -> "PostgresPaymentReader":
        """Read in the API's role, what one tenant may see."""
        return cls(lambda: pool.for_tenant(tenant_id))

    @classmethod
    def of_all(cls, pool: Pool) -> "PostgresPaymentReader":
        """Read in the worker's role, for operators."""
        return cls(pool.acquire)

    async def payment(self, key: PaymentKey) -> Payment | None:
        rows = await self._fetch(sql("load_payments"), [key.tenant], [key.id])
        return payment(rows[0]) if rows else None

    async def payments(
        self, tenant: str | None, states: Sequence[State], before: PaymentKey | None, limit: int
    ) -> Sequence[Payment]:
        compiled = _listed(tenant, states, before, limit).compile(dialect=_DIALECT)
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        return [payment(row) for row in await self._fetch(str(compiled), *values)]

    async def tenants_of(self, payment_id: str) -> Sequence[str]:
        return [row["tenant"] for row in await self._fetch(sql("find_tenants_of_payment"), payment_id)]

    async def timeline(self, key: PaymentKey, after: int, limit: int) -> Sequence[NumberedLine]:
        rows = await self._fetch(sql("read_payment_steps"), key.tenant, key.id, after, limit)
        return [numbered_line(row) for row in rows]

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        with transient_faults():
            async with self._connect() as connection:
                found: list[Any] = await connection.fetch(statement, *arguments)
                return found


def _listed(
    tenant: str | None, states: Sequence[State], before: PaymentKey | None, limit: int
) -> sa.Select[Any]:
    rows = sa.select(tenants.c.code.label("tenant"), payments).join(
        tenants, tenants.c.tenant_id == payments.c.tenant_id
    )
    if tenant is not None:
        of = sa.select(tenants.c.tenant_id).where(tenants.c.code == tenant).scalar_subquery()
        rows = rows.where(payments.c.tenant_id == of)
    if states:
        wanted = sa.literal([state.value for state in states], pg.ARRAY(sa.Text))
        rows = rows.where(payments.c.state == sa.any_(wanted))
        # The index of those that are not at an end is small.
        if not any(state.is_end for state in states):
            rows = rows.where(payments.c.due_at.is_not(None))
    if before is not None:
        rows = rows.where(_comes_after(before))
    return rows.order_by(payments.c.event_id.desc(), tenants.c.code.desc()).limit(limit)


def _comes_after(before: PaymentKey) -> sa.ColumnElement[bool]:
    earlier = payments.c.event_id < before.id
    return earlier | ((payments.c.event_id == before.id) & (tenants.c.code < before.tenant))
