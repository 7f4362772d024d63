"""One id in two tenants is two events, two holds, two transactions."""

from ledger.domain.commands import Event
from tests.builders import event, transfer
from tests.ports.bench import Bench


def life(bench: Bench, tenant: str, amount: int) -> list[Event]:
    """Funds, a hold and its capture, under the same ids for every tenant."""
    name = bench.tenant
    held = {"debit": "ann", "credit": "shop", "amount": amount, "asset": "USD/2"}
    place = event("hold.place.v1", held, name=f"{name} hold", tenant=tenant)
    return [
        transfer("external:bank", "ann", 100, name=f"{name} funds", tenant=tenant),
        place,
        event("hold.capture.v1", {"hold": place.id}, name=f"{name} capture", tenant=tenant),
        event("transaction.reverse.v1", {"transaction": place.id}, name=f"{name} none", tenant=tenant),
    ]


async def test_tenants_with_the_same_ids_do_not_meet(bench: Bench) -> None:
    rival = f"{bench.tenant}-rival"
    ours, theirs = life(bench, bench.tenant, 30), life(bench, rival, 50)
    outcomes = []
    for mine, other in zip(ours, theirs, strict=True):
        outcomes += await bench.post(mine)
        outcomes += await bench.post(other)
    captures = [each for each in outcomes if each.event.type == "hold.capture.v1"]
    assert [[entry.amount for entry in each.entries] for each in captures] == [[-30, 30], [-50, 50]]
    assert [str(each.reason or each.kind) for each in outcomes[-2:]] == ["transaction_not_found"] * 2
