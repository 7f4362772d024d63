"""Write the payments that a batch accepted: request, saga and the first line of the timeline."""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.adapters.postgres.directory import Tenant
from ledger.adapters.postgres.payment_rows import saga_json
from ledger.adapters.postgres.statements import sql
from ledger.application.payment_lanes import ends_at
from ledger.application.payment_requests import first_line, payment_of
from ledger.domain.books import PaymentRequested


async def insert_payments(
    connection: Any, tenants: Mapping[str, Tenant], requested: Sequence[PaymentRequested]
) -> None:
    if not requested:
        return
    payments = [payment_of(each) for each in requested]
    line = first_line(payments[0])
    sagas = [each.saga for each in payments]
    terms = [each.terms for each in payments]
    await connection.execute(
        sql("insert_payments"),
        [saga.id for saga in sagas],
        [tenants[saga.tenant].id for saga in sagas],
        [each.debit for each in terms],
        [each.credit for each in terms],
        [each.amount for each in terms],
        [each.asset for each in terms],
        [each.provider for each in terms],
        [each.fee_account for each in terms],
        [each.fee_amount for each in terms],
        [each.reference for each in terms],
        [saga.deadline for saga in sagas],
        [each.created_at for each in payments],
        [each.version for each in payments],
        [saga.state for saga in sagas],
        [saga.step for saga in sagas],
        [saga.next_at for saga in sagas],
        [ends_at(saga) for saga in sagas],
        [saga_json(saga) for saga in sagas],
        line.happening,
        line.verdict,
    )
