"""A contradiction is told to a person, whatever becomes of the worker that hears it."""

import pytest

from ledger.application.payment_calls import Heard
from ledger.domain.payments.happenings import RefundAccepted
from tests.payment_stage import CutOffError, Stage, Tape


def alerts(stage: Stage) -> list[str]:
    """What a person was told."""
    return [str(facts["reason"]) for name, facts in stage.heard if name == "payment.alerted"]


async def test_a_contradiction_is_told_though_its_worker_dies_when_it_is_stored() -> None:
    stage = Stage()
    key = stage.request()
    await stage.run()
    assert stage.states() == {"settled"}
    worker = stage.worker(Tape(cut_at=2))
    with pytest.raises(CutOffError, match="after apply"):
        await worker.tell(stage.store.payments[key], Heard(RefundAccepted("re_1")))
    assert stage.store.payments[key].saga.contradictions
    assert alerts(stage) == ["refund_accepted while settled"]
    await stage.worker().tell(stage.store.payments[key], Heard(RefundAccepted("re_1")))
    assert alerts(stage) == ["refund_accepted while settled"]
