"""Refusals that no order of times gives: one batch could not see what another was about to commit."""

from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.types import Pool
from ledger.application.post_events import Batch, PostEvents
from ledger.domain.books import Rules
from ledger.domain.replaying import DecideAgain
from tests.builders import HandClock
from tests.fakes import RememberedSignals
from tests.ports.conftest import Bench
from tests.ports.test_concurrency import Zombie, pay


async def test_a_refusal_beside_a_batch_that_was_not_committed_is_replayed(
    postgres: Bench, memory: Bench, pool: Pool
) -> None:
    fund, spend = (
        pay(postgres, "external:bank", "ann", "fund", 100),
        pay(postgres, "ann", "external:shop", "spend", 60),
    )
    late = Zombie(postgres)
    assert await late.handle(fund) == ["posted"]
    postgres.clock.move(1)
    assert await postgres.answers(spend) == ["insufficient_funds"]
    await late.commit()
    judge = DecideAgain()
    judge.precedents = await PostgresPrecedents(pool).of([fund, spend])
    # In the order of their times the funds are there.
    again = PostEvents(memory.store, HandClock(), Rules(), RememberedSignals(), judge=judge)
    outcomes = await again(Batch([fund, spend]))
    assert [each.reason or each.kind for each in outcomes] == ["posted", "insufficient_funds"]
    assert judge.unseen == {spend.identity: "posted"}
    ours, theirs = await postgres.digest(), await memory.look.digest(postgres.tenant)
    assert ours["balances"] == theirs["balances"]
