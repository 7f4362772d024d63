"""Payments of a provider that is not there: they wait, and end at their deadline."""

from typing import Any, cast

from ledger.adapters.provider.registry import ProviderRegistry
from tests.fakes import RememberedSignals
from tests.payment_stage import Stage


class Nobody:
    """A directory of no providers."""

    async def find(self, tenant: str, name: str) -> None:
        return None


async def test_payments_of_a_provider_that_is_not_there_wait_without_a_try() -> None:
    stage, signals = Stage(), RememberedSignals()
    stage.registry = ProviderRegistry(
        cast(Any, Nobody()), cast(Any, None), stage.clock, lambda: stage.clock.now().timestamp(), signals
    )
    key = stage.request(deadline_s=100)
    await stage.run(rounds=20)
    assert (stage.states(), stage.store.payments[key].saga.attempts) == ({"funds_held"}, 0)
    stage.clock.move(100)
    await stage.run()
    stage.check()
    assert stage.states() == {"expired"}
    assert signals.names() == ["provider.misconfigured"]


async def test_a_call_that_finds_its_provider_gone_is_no_try() -> None:
    stage = Stage()
    provider, stage.providers.provider = stage.providers.provider, None
    key = stage.request()
    await stage.run(rounds=3)
    assert (stage.states(), stage.store.payments[key].saga.tries) == ({"charging"}, 0)
    stage.providers.provider = provider
    await stage.run()
    stage.check()
    assert stage.states() == {"settled"}
