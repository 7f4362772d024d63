"""The provider in memory, as simulations look at it."""

from ledger.adapters.memory.provider import Act, MemoryProvider
from ledger.application.providers import Accepted, NotFound, Unknown, kind_of
from tests.provider import charge, refund


async def test_it_adds_up_what_moved_by_asset() -> None:
    provider = MemoryProvider()
    charged = await provider.charge(charge("a", amount=1000))
    assert isinstance(charged, Accepted)
    await provider.charge(charge("b", amount=50, asset="EUR/2"))
    await provider.charge(charge("c", tenant="other", amount=7))
    await provider.refund(refund("d", charged.reference, amount=400))
    await provider.refund(refund("e", charged.reference, amount=601))
    assert provider.moved("acme") == {"USD/2": (1000, 400), "EUR/2": (50, 0)}
    assert provider.moved() == {"USD/2": (1007, 400), "EUR/2": (50, 0)}


async def test_what_pends_moves_when_it_is_settled() -> None:
    provider = MemoryProvider(script=lambda request, asked: Act(pends=True))
    await provider.charge(charge("a"))
    before = provider.moved()
    provider.settle()
    assert (before, provider.moved()) == ({}, {"USD/2": (1250, 0)})
    assert kind_of(await provider.status(charge("a"))) == "accepted"


async def test_a_status_can_fail_as_well() -> None:
    provider = MemoryProvider(status_script=lambda key, asked: Unknown("timeout") if asked < 2 else None)
    assert [kind_of(await provider.status(charge("a"))) for _ in range(2)] == ["unknown", "unknown"]
    assert await provider.status(charge("a")) == NotFound()
