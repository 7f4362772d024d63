"""Answers as JSON, written straight from what readers gave."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from ledger.application.reading import AccountView, BalanceView, EntryView, HoldFacts

_encoder = msgspec.json.Encoder()


def answer(document: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with a JSON document; integers of any size stay as they are, times are UTC with a Z."""
    return Response(_encoder.encode(document), status_code=status, media_type="application/json")


def balance_members(view: BalanceView) -> dict[str, Any]:
    return {
        "asset": view.asset,
        "posted_debits": view.posted_debits,
        "posted_credits": view.posted_credits,
        "balance": view.balance,
        "held": view.held,
        "available": view.available,
        "version": view.version,
    }


def account_members(view: AccountView) -> dict[str, Any]:
    return {
        "account": view.account,
        "normal_side": view.normal_side,
        "overdraft": "unlimited" if view.overdraft is None else view.overdraft,
        "metadata": view.metadata,
        "opened_at": view.opened_at,
        "closed_at": view.closed_at,
        "balances": [balance_members(balance) for balance in view.balances],
    }


def entry_members(entry: EntryView) -> dict[str, Any]:
    return {
        "account": entry.account,
        "asset": entry.asset,
        "amount": entry.amount,
        "version": entry.version,
        "balance": entry.balance,
        "posted_debits": entry.posted_debits,
        "posted_credits": entry.posted_credits,
    }


def hold_members(hold: HoldFacts) -> dict[str, Any]:
    return {
        "hold": hold.id,
        "state": hold.state,
        "amount": hold.amount,
        "captured": hold.captured,
        "released": hold.released,
        "left": hold.left,
    }
