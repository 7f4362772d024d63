"""Webhooks and outcomes are heard: none is lost while the database is away, and none stops those behind it."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import orjson
import pytest

from ledger.application.faults import TransientFaultError
from ledger.application.payment_ports import Payment, PaymentKey
from ledger.application.provider_messages import Step, Webhook
from ledger.application.providers import Accepted
from ledger.application.receive_webhooks import ReceivedWebhook
from ledger.domain.payments.saga import State
from streams.agents.advance_payments import DueTimer, HearChunk
from streams.agents.hear_webhooks import HearWebhooks
from streams.patience import Patience
from streams.transport.chunk import Chunk
from tests.builders import event_id
from tests.fakes import RememberedSignals
from tests.payment_stage import Stage


def webhook(payment: str, *, tenant: str = "acme", key: str | None = None, reference: str = "ch_7") -> bytes:
    found = Webhook(
        id="wh_1",
        idempotency_key=key or f"{tenant}:{payment}:charge",
        payment=payment,
        tenant=tenant,
        step=Step.CHARGE,
        answer=Accepted(reference),
    )
    return msgspec.json.encode(ReceivedWebhook("bank", found))


def chunk(*values: bytes) -> Chunk:
    records: Any = [SimpleNamespace(value=value) for value in values]
    return Chunk("ledger.webhooks", 0, records, 0, len(values), 1)


class Flaky:
    """A store whose methods fail first, as often as told."""

    def __init__(self, inner: Any, faults: Mapping[str, Sequence[Exception]]) -> None:
        self._inner = inner
        self._faults = {name: list(each) for name, each in faults.items()}

    def __getattr__(self, name: str) -> Any:
        if self._faults.get(name):
            fault = self._faults[name].pop(0)

            async def fail(*given: Any) -> None:
                raise fault

            return fail
        return getattr(self._inner, name)


class Scene:
    """A worker that hears of payments on a stage."""

    def __init__(self, **faults: Sequence[Exception]) -> None:
        self.stage = Stage()
        self.worker = self.stage.worker()
        self.signals = RememberedSignals()
        self.waits: list[str] = []
        self.store: Any = Flaky(self.stage.store, faults)
        self.patience = Patience(self._waiting, backoff_max_s=0.01)
        self.hear = HearWebhooks(self.worker, self.store, self.signals, self.patience)

    @contextmanager
    def _waiting(self, reason: str) -> Any:
        self.waits.append(reason)
        yield

    def released(self, name: str) -> PaymentKey:
        """Have a payment that was given up."""
        key = self.stage.request(name)
        payment = self.stage.store.payments[key]
        saga = msgspec.structs.replace(
            payment.saga, state=State.RELEASED, step=None, ends_as=State.RELEASED, next_at=None
        )
        self.stage.store.payments[key] = msgspec.structs.replace(payment, saga=saga)
        return key

    def state(self, key: PaymentKey) -> str:
        return self.stage.store.payments[key].saga.state


@pytest.mark.parametrize("method", ["load", "apply"])
async def test_webhook_about_an_ended_payment_outlasts_a_database_that_is_away(method: str) -> None:
    scene = Scene(load=[TransientFaultError("away")] * 3 if method == "load" else [])
    key = scene.released("p")
    if method == "apply":
        away = Flaky(scene.worker._mover._writer._store, {"apply": [TransientFaultError("away")] * 10})
        scene.worker._mover._writer._store = cast(Any, away)
    await scene.hear(chunk(webhook(key.id)))
    assert scene.state(key) == "refunding"
    assert scene.waits == ["postgres"]
    assert "payments.not_heard" in scene.signals.names()


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        webhook("x" * 36),
        webhook(f"{{{event_id('p')}}}"),
        webhook(f"urn:uuid:{event_id('p')}"),
        webhook(event_id("nobody")),
        webhook(event_id("good"), key="another"),
    ],
    ids=range(9),
)
async def test_what_is_no_webhook_of_a_payment_is_told_and_skipped(bad: bytes) -> None:
    scene = Scene()
    key = scene.released("good")
    await scene.hear(chunk(bad, webhook(key.id), bad))
    assert scene.state(key) == "refunding"
    assert scene.signals.names().count("webhook.not_heard") == 2


async def test_ids_in_upper_case_are_ids() -> None:
    scene = Scene()
    key = scene.released("p")
    await scene.hear(chunk(webhook(key.id.upper(), key=f"acme:{key.id}:charge")))
    assert scene.state(key) == "refunding"


async def test_payments_that_cannot_be_read_together_are_read_one_by_one() -> None:
    scene = Scene(load=[ValueError("data"), ValueError("data")])
    first, second = scene.released("a"), scene.released("b")
    await scene.hear(chunk(webhook(first.id), webhook(second.id)))
    assert (scene.state(first), scene.state(second)) == ("released", "refunding")
    assert "webhook.not_heard" in scene.signals.names()


async def test_a_payment_that_the_machine_cannot_move_keeps_no_other_from_being_told() -> None:
    scene = Scene()
    broken, whole = scene.released("a"), scene.released("b")
    payment = scene.stage.store.payments[broken]
    # Accepted, it would go from funds_held to refunding: a move that the machine refuses.
    saga = msgspec.structs.replace(payment.saga, state=State.FUNDS_HELD, ends_as=State.CHARGED)
    scene.stage.store.payments[broken] = msgspec.structs.replace(payment, saga=saga)
    await scene.hear(chunk(webhook(broken.id), webhook(whole.id)))
    assert (scene.state(broken), scene.state(whole)) == ("funds_held", "refunding")


# Outcomes


def outcome(event: str, *, hold: str | None) -> bytes:
    data = {"event_type": "hold.capture.v1", "hold": None if hold is None else {"hold": hold}}
    return orjson.dumps({"tenant": "acme", "id": event, "data": data})


def hearing(scene: Scene, advance: Any = None) -> HearChunk:
    return HearChunk(
        advance or scene.worker,
        cast(DueTimer, SimpleNamespace(poke=lambda: None)),
        scene.signals,
        scene.patience,
    )


async def charged(scene: Scene, name: str) -> PaymentKey:
    key = scene.stage.request(name)
    await scene.stage.round(scene.worker)
    assert scene.state(key) == "charged"
    return key


async def test_outcome_outlasts_a_database_that_is_away() -> None:
    scene = Scene()
    key = await charged(scene, "p")
    away = Flaky(scene.worker._store, {"answered": [TransientFaultError("away")] * 3})
    scene.worker._store = cast(Any, away)
    await hearing(scene)(chunk(outcome(event_id("c"), hold=key.id)))
    assert scene.state(key) == "settled"
    assert scene.waits == ["postgres"]


@pytest.mark.parametrize("fault", [ValueError("a bug"), TypeError("a bug")], ids=repr)
async def test_outcomes_that_cannot_be_heard_are_told_and_left_to_the_timer(fault: Exception) -> None:
    scene = Scene()
    key = await charged(scene, "p")
    scene.worker._store = cast(Any, Flaky(scene.worker._store, {"answered": [fault]}))
    await hearing(scene)(chunk(outcome(event_id("c"), hold=key.id)))
    assert scene.state(key) == "charged"
    assert "payments.not_heard" in scene.signals.names()


async def test_one_outcome_that_cannot_be_told_keeps_no_other_from_being_told() -> None:
    scene = Scene()
    first, second = await charged(scene, "a"), await charged(scene, "b")
    tell = scene.worker.tell

    async def picky(payment: Payment, heard: Any) -> Any:
        if payment.key == first:
            raise ValueError("a bug")
        return await tell(payment, heard)

    scene.worker.tell = picky  # type: ignore[method-assign]
    await hearing(scene)(chunk(outcome(event_id("c"), hold=first.id), outcome(event_id("d"), hold=second.id)))
    assert (scene.state(first), scene.state(second)) == ("charged", "settled")


@pytest.mark.parametrize("hold", ["{" + event_id("p") + "}", "", None])
async def test_outcomes_with_ids_that_are_none_are_passed_by(hold: str | None) -> None:
    scene = Scene()
    asked: list[Any] = []

    async def hear(*given: Any) -> int:
        asked.append(given)
        return 0

    await hearing(scene, SimpleNamespace(hear=hear))(chunk(outcome("no id", hold=hold)))
    assert not asked
