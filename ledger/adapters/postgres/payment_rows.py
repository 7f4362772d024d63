"""Rows of payments and of their timelines, to and from what the use cases know."""

from typing import Any

import msgspec

from ledger.application.payment_ports import Line, NumberedLine, Payment
from ledger.domain.payments.saga import Saga, State
from ledger.domain.payments.steps import Verdict
from ledger.domain.payments.terms import Terms


def saga_json(saga: Saga) -> str:
    return msgspec.json.encode(saga).decode()


def payment(row: Any) -> Payment:
    return Payment(
        saga=msgspec.json.decode(row["saga"], type=Saga),
        terms=Terms(
            debit=row["debit"],
            credit=row["credit"],
            amount=row["amount"],
            asset=row["asset"],
            provider=row["provider"],
            fee_account=row["fee_account"],
            fee_amount=row["fee_amount"],
            reference=row["reference"],
        ),
        version=row["version"],
        created_at=row["created_at"],
    )


def numbered_line(row: Any) -> NumberedLine:
    line = Line(
        at=row["at"],
        happening=row["happening"],
        verdict=Verdict(row["verdict"]),
        state=State(row["state"]),
        commands=tuple(row["commands"]),
        attempt=row["attempt"],
        begins=row["begins"],
        event_id=row["publishes"],
        next_at=row["next_at"],
        detail=row["detail"],
        by=row["done_by"],
    )
    return NumberedLine(row["number"], line)


def text(value: str | None) -> str | None:
    """Write what a text column takes: it cannot hold U+0000, which strangers may have said."""
    return None if value is None else value.replace("\x00", "\ufffd")
