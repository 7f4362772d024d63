"""S: every hold is captured and released to its last unit, and the provider's own book says what the books say."""

from collections.abc import Iterator

from ledger.application.providers import Accepted, ChargeRequest
from ledger.domain.payments.saga import State
from tests.simulation.world import World


def sagas_end_well(world: World) -> Iterator[str]:
    """Compare payments, their holds, and what the provider wrote down of them."""
    if world.plan.payments == 0:
        return
    contents = world.server.books.contents
    paid = _with_provider(world)
    for (tenant, payment_id), payment in contents.payments.items():
        hold = contents.holds[tenant, payment_id]
        if hold.left or hold.amount != hold.captured + hold.released:
            yield f"S hold {payment_id}: {hold.captured} captured, {hold.released} released of {hold.amount}"
        if paid.pop((tenant, payment_id), 0) != hold.captured:
            yield f"S {payment_id} of {tenant} captured {hold.captured}, and the provider has another sum"
        if (payment.saga.state is State.SETTLED) is not bool(hold.captured):
            yield f"S {payment_id} is {payment.saga.state.value} with {hold.captured} captured"
        attempts = [line.attempt for line in contents.payment_lines[tenant, payment_id] if line.begins]
        if len(attempts) != len(set(attempts)):
            yield f"S {payment_id} began an attempt twice: {attempts}"
    for key, amount in paid.items():
        if amount:
            yield f"S the provider has {amount} of {key}, of which the books know nothing"


def _with_provider(world: World) -> dict[tuple[str, str], int]:
    """Add up what the provider's book has of each payment."""
    sums: dict[tuple[str, str], int] = {}
    for line in world.bank.book.lines.values():
        request = line.request
        if isinstance(line.verdict, Accepted):
            sign = 1 if isinstance(request, ChargeRequest) else -1
            key = (request.tenant, request.payment)
            sums[key] = sums.get(key, 0) + sign * request.amount
    return sums
