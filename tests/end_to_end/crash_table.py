"""Every death that is tried: at each crash point, with each kind of record that comes to it, once and once more."""

from collections.abc import Mapping
from typing import NamedTuple

from ledger.adapters.system import new_event_id
from ledger.contract.event_types import COMMANDS
from tests.end_to_end.books import event, transfer

PAYER_ACCOUNT = "external:payer"
AMOUNT = 250
SPECIAL = ("rejected", "duplicate", "reused", "poison")
"""Records beside the types: a refusal, the same event again, its id with other content, and what is no event."""
KINDS = (*COMMANDS, *SPECIAL)
POSTED = ("transfer.post.v1", "transaction.post.v1", "transaction.reverse.v1", "hold.capture.v1")
"""What posts entries."""


class Point(NamedTuple):
    """Who comes to a crash point, and with what kinds of record."""

    part: str
    kinds: tuple[str, ...]


POINTS: Mapping[str, Point] = {
    # Where there is no event, no id is claimed.
    "claimed": Point("post-events", tuple(kind for kind in KINDS if kind != "poison")),
    "before_commit": Point("post-events", KINDS),
    "committed": Point("post-events", KINDS),
    "before_publish": Point("post-events", KINDS),
    "published": Point("post-events", KINDS),
    "voids_sent": Point("expiry", ("hold.void.v1",)),
    "before_checkpoint": Point("roll-windows", POSTED),
    "checkpoint_written": Point("roll-windows", POSTED),
    "saga_stored": Point("advance-payments", ("payment.request.v1",)),
    "attempt_begun": Point("advance-payments", ("payment.request.v1",)),
    "provider_answered": Point("advance-payments", ("payment.request.v1",)),
    "step_published": Point("advance-payments", ("payment.request.v1",)),
    "webhooks_heard": Point("webhooks", ("payment.request.v1",)),
    "webhook_kept": Point("webhooks", ("payment.request.v1",)),
    "links_written": Point("chain-transactions", POSTED),
    "segment_written": Point("archive", KINDS),
    "letter_sent": Point("dlq", ("poison",)),
    "batch_replayed": Point("replay", tuple(kind for kind in KINDS if kind != "poison")),
}
POSTING = tuple(name for name, point in POINTS.items() if point.part == "post-events")
BEFORE_THE_COMMIT = ("claimed", "before_commit")
"""Where a worker that dies leaves nothing of its record."""


class Row(NamedTuple):
    """One death: at which point, with which kind of record, the first or the second time that it comes there."""

    point: str
    kind: str
    time: int


ONCE = {
    # What a checkpoint has written comes back out of the changelog: the entry is not written again.
    *(Row("checkpoint_written", kind, 2) for kind in POSTED),
}
"""Deaths that cannot be: nothing comes there a second time."""


def rows() -> list[Row]:
    """Give all of them."""
    found = (
        Row(name, kind, time) for name, point in POINTS.items() for kind in point.kinds for time in (1, 2)
    )
    return [row for row in found if row not in ONCE]


def records() -> dict[str, bytes]:
    """Make one record of each kind, in an order in which each can be done."""
    hold, transferred = new_event_id(), new_event_id()
    entries = [(PAYER_ACCOUNT, -30), ("payee", 20), ("spare", 10)]
    lines = [{"account": code, "asset": "USD/2", "amount": amount} for code, amount in entries]
    payment = {
        "debit": PAYER_ACCOUNT,
        "credit": "payee",
        "amount": AMOUNT,
        "asset": "USD/2",
        "provider": "bank",
    }
    first = transfer(PAYER_ACCOUNT, "payee", 100, transferred)
    return {
        "account.open.v1": event("account.open.v1", {"account": "empty"}),
        "transfer.post.v1": first,
        "transaction.post.v1": event("transaction.post.v1", {"entries": lines}),
        "transaction.reverse.v1": event("transaction.reverse.v1", {"transaction": transferred, "amount": 40}),
        "hold.place.v1": event(
            "hold.place.v1", {"debit": PAYER_ACCOUNT, "credit": "payee", "amount": 50, "asset": "USD/2"}, hold
        ),
        "hold.capture.v1": event("hold.capture.v1", {"hold": hold, "amount": 20, "final": False}),
        "hold.void.v1": event("hold.void.v1", {"hold": hold}),
        "payment.request.v1": event("payment.request.v1", payment),
        "account.close.v1": event("account.close.v1", {"account": "empty"}),
        "rejected": transfer("payee", PAYER_ACCOUNT, 10**12),
        "duplicate": first,
        "reused": transfer(PAYER_ACCOUNT, "payee", 101, transferred),
        "poison": b"no event",
    }
