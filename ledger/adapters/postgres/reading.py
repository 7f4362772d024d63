"""Read what was decided before: to tell repeats from new events, and to publish again what they caused."""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.adapters.postgres.directory import Tenant
from ledger.adapters.postgres.statements import sql
from ledger.domain.books import EventKey
from ledger.domain.commands import Event, RequestPayment, hold_of
from ledger.domain.outcome import Earlier, HoldView, Outcome, PaymentView
from ledger.domain.rejection import Reason
from ledger.domain.transaction import Entry


def _keys(tenants: Mapping[str, Tenant], events: Sequence[Event]) -> tuple[list[str], list[int]]:
    return [event.id for event in events], [tenants[event.tenant].id for event in events]


async def find_processed(
    connection: Any, tenants: Mapping[str, Tenant], events: Sequence[Event]
) -> dict[EventKey, Earlier]:
    """Read what the books know of the ids of `events`."""
    codes = {tenant.id: tenant.code for tenant in tenants.values()}
    return {
        (codes[row["tenant_id"]], row["event_id"]): Earlier(
            row["fingerprint"],
            row["kind"],
            row["posted_at"],
            row["topic"],
            row["partition"],
            row["offset"],
            row["event_id"] if row["has_transaction"] else None,
            Reason(row["reason"]) if row["reason"] else None,
            row["detail"],
        )
        for row in await connection.fetch(sql("find_processed"), *_keys(tenants, events))
    }


async def recall(
    connection: Any,
    tenants: Mapping[str, Tenant],
    events: Sequence[Event],
    earlier: Mapping[EventKey, Earlier],
) -> list[Outcome]:
    """Rebuild the outcomes of `events` from what is stored. Holds and payments are shown as they stand now."""
    codes = {tenant.id: tenant.code for tenant in tenants.values()}
    entries: dict[EventKey, list[Entry]] = {}
    effective: dict[EventKey, Any] = {}
    for row in await connection.fetch(sql("find_entries"), *_keys(tenants, events)):
        key = (codes[row["tenant_id"]], row["event_id"])
        entries.setdefault(key, []).append(_entry(row))
        effective[key] = row["effective_at"]
    holds = await _find_holds(connection, tenants, [event for event in events if hold_of(event)])
    requests = [event for event in events if isinstance(event.command, RequestPayment)]
    payments = await _find_payments(connection, tenants, requests)
    return [
        _outcome(
            event,
            earlier[event.identity],
            tuple(entries.get(event.identity, ())),
            effective.get(event.identity),
            holds,
            payments,
        )
        for event in events
    ]


def _entry(row: Any) -> Entry:
    net = row["posted_credits"] - row["posted_debits"]
    return Entry(
        row["code"],
        row["asset"],
        row["amount"],
        row["version"],
        net if row["normal_side"] == "credit" else -net,
        row["posted_debits"],
        row["posted_credits"],
        row["normal_side"],
    )


async def _find_holds(
    connection: Any, tenants: Mapping[str, Tenant], events: Sequence[Event]
) -> dict[EventKey, HoldView]:
    if not events:
        return {}
    codes = {tenant.id: tenant.code for tenant in tenants.values()}
    ids = [hold_of(event) for event in events]
    rows = await connection.fetch(sql("find_holds"), ids, [tenants[event.tenant].id for event in events])
    return {
        (codes[row["tenant_id"]], row["event_id"]): HoldView(
            row["event_id"], row["state"], row["amount"], row["captured"], row["released"], row["amount_left"]
        )
        for row in rows
    }


async def _find_payments(
    connection: Any, tenants: Mapping[str, Tenant], events: Sequence[Event]
) -> dict[EventKey, PaymentView]:
    if not events:
        return {}
    codes = {tenant.id: tenant.code for tenant in tenants.values()}
    return {
        (codes[row["tenant_id"]], row["event_id"]): PaymentView(row["event_id"], row["state"])
        for row in await connection.fetch(sql("find_payments"), *_keys(tenants, events))
    }


def _outcome(
    event: Event,
    earlier: Earlier,
    entries: tuple[Entry, ...],
    effective_at: Any,
    holds: Mapping[EventKey, HoldView],
    payments: Mapping[EventKey, PaymentView],
) -> Outcome:
    hold = holds.get((event.tenant, hold_of(event) or "")) if earlier.kind == "posted" else None
    return Outcome(
        event,
        earlier.kind,
        earlier.posted_at,
        earlier.transaction,
        entries,
        effective_at,
        hold,
        earlier.reason,
        earlier.detail,
        payments.get(event.identity) if earlier.kind == "posted" else None,
    )
