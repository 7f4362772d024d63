"""The legs of payments to other tenants, audited in PostgreSQL run by run, so in bounded memory."""

from collections.abc import Sequence
from typing import Any

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.legs import leg_ids
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.leg_audit import EndedPayment, StoredLeg, fault_of
from ledger.application.legs import LegIds
from ledger.application.provider_books import PAYMENTS_CHECK
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check

RUN_PAYMENTS = 1000

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0
"""


async def audit_legs(pool: Pool) -> Check:
    """Compare every payment to another tenant that is at an end with that tenant's books, over one snapshot."""
    with transient_faults():
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(_LIMITS)
            return await audit_legs_in(connection)


async def audit_legs_in(connection: Connection) -> Check:
    """Compare them in the transaction of a connection."""
    ids = await leg_ids(connection)
    cursor = await connection.cursor(sql("audit_ended_to_tenants"), timeout=LONG_S)
    checked, violations = 0, list[dict[str, Any]]()
    while rows := await cursor.fetch(RUN_PAYMENTS, timeout=LONG_S):
        payments = [EndedPayment(**row) for row in rows]
        legs = await _legs(connection, payments, ids)
        for number, payment in enumerate(payments):
            fault = fault_of(payment, legs.get(number), ids)
            if fault is not None and len(violations) < VIOLATIONS_SHOWN_MAX:
                violations.append(_violation(fault, payment, ids))
        checked += len(payments)
    return Check(PAYMENTS_CHECK, checked, violations)


async def _legs(
    connection: Connection, payments: Sequence[EndedPayment], ids: LegIds
) -> dict[int, StoredLeg]:
    """Look up legs, by the number of their payment."""
    rows = await connection.fetch(
        sql("audit_legs"),
        [ids.charge(each.tenant, each.id) for each in payments],
        [each.target for each in payments],
        timeout=LONG_S,
    )
    return {row["ordinal"] - 1: _leg(row) for row in rows}


def _leg(row: Any) -> StoredLeg:
    entries = list(zip(row["accounts"] or (), row["assets"] or (), row["amounts"] or (), strict=True))
    return StoredLeg(row["type"], row["reference"], entries, bool(row["taken_back"]), row["reversals"] or ())


def _violation(fault: str, payment: EndedPayment, ids: LegIds) -> dict[str, Any]:
    return {
        "what": fault,
        "tenant": payment.tenant,
        "payment": payment.id,
        "state": payment.state,
        "receiver": payment.target,
        "leg": ids.charge(payment.tenant, payment.id),
    }
