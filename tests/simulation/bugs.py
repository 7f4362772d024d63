"""Bugs to plant: each replaces a part of the real code by one that is wrong, and the simulation must find it."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ledger.adapters.memory.books import MemoryUnitOfWork
from ledger.adapters.memory.reader import MemoryBalances
from ledger.application.advance_payments import AdvancePayments
from ledger.application.cached_balances import CachedBalances, Served
from ledger.application.faults import TransientFaultError
from ledger.application.payment_calls import Heard
from ledger.application.post_events import PostEvents
from ledger.domain.account import Balance
from ledger.domain.outcome import repeated as repeated_before
from ledger.domain.payments.commands import Release
from ledger.domain.payments.happenings import ChargeDeclined
from ledger.domain.payments.happenings import Unknown as UnknownHappened
from ledger.domain.window import Window, merge
from streams.agents.post_events import PostChunk
from streams.transport.chunk import Chunk
from streams.transport.errors import PublishError
from streams.transport.frontier import Frontiers, Verdict
from streams.transport.lanes import PartitionLanes
from tests.simulation.run import run_seed

SEEDS_MAX = 80

Substitutes = Mapping[str, Any]

_MISFIT = re.compile(r"TypeError\(.*argument|AttributeError\(|NameError\(")
"""What a bug says that is called in another way than it was, or finds in the code what is no longer there."""


def caught_by_simulation(bug: str, seeds_max: int = SEEDS_MAX) -> str | None:
    """Plant a bug, and give what found it first: `seed 7: L less …`; None if nothing did.

    Raises LookupError where it does not fit the code any more: what then fails is the bug itself.
    """
    first = FOUND_BY.get(bug, 1)
    for seed in (*range(first, seeds_max + 1), *range(1, first)):
        found = run_seed(seed, BUGS[bug]()).found
        for each in found:
            if each.startswith("?") or _MISFIT.search(each):
                raise LookupError(f"{bug}: {each}")
        if found:
            return f"seed {seed}: {found[0]}"
    return None


async def _nothing(*_: Any, **__: Any) -> None:
    return None


def _ack_before_commit() -> Substitutes:
    handle = PartitionLanes._handle

    async def handle_late(self: Any, event: Any, chunk: Chunk) -> None:
        self._flow.frontiers.advance(chunk, 0.0)
        await handle(self, event, chunk)

    return {"streams.transport.lanes.PartitionLanes._handle": handle_late}


def _no_dedupe() -> Substitutes:
    async def claim(self: Any, events: Sequence[Any]) -> Mapping[Any, Any]:
        return {}

    return {"ledger.adapters.memory.books.MemoryUnitOfWork.claim": claim}


def _commit_error_taken_as_not_committed() -> Substitutes:
    """A batch whose commit failed is posted again as if nothing had happened, without looking at its ids."""
    attempt = PostEvents._try
    claim = MemoryUnitOfWork.claim
    failed: list[bool] = []

    async def try_again(self: Any, batch: Any) -> Any:
        try:
            done = await attempt(self, batch)
        except TransientFaultError as fault:
            failed[:] = [True] if "commit" in str(fault) else failed
            raise
        failed.clear()
        return done

    async def claim_blindly(self: Any, events: Any) -> Any:
        return {} if failed else await claim(self, events)

    return {
        "ledger.application.post_events.PostEvents._try": try_again,
        "ledger.adapters.memory.books.MemoryUnitOfWork.claim": claim_blindly,
    }


def _commit_error_taken_as_committed() -> Substitutes:
    attempt = PostEvents._try

    async def try_once(self: Any, batch: Any) -> Any:
        try:
            return await attempt(self, batch)
        except TransientFaultError as fault:
            if "commit" in str(fault):
                return []
            raise

    return {"ledger.application.post_events.PostEvents._try": try_once}


def _nothing_is_published_again() -> Substitutes:
    async def recall(self: Any, unit: Any, firsts: Any, known: Any) -> Any:
        return {}

    return {"ledger.application.post_events.PostEvents._recall": recall}


def _publishing_may_fail() -> Substitutes:
    async def publish_once(self: Any, records: Any) -> None:
        with suppress(PublishError):
            await self._publisher.publish(records)

    return {"streams.publishing.PatientPublisher._publish": publish_once}


def _frontier_past_a_dropped_chunk() -> Substitutes:
    judge = Frontiers.judge

    def judge_gladly(self: Any, chunk: Chunk) -> Verdict:
        verdict = judge(self, chunk)
        return Verdict.JOINS if verdict is Verdict.GAP else verdict

    return {"streams.transport.frontier.Frontiers.judge": judge_gladly}


def _old_generation_moves_the_frontier() -> Substitutes:
    def advance(self: Any, chunk: Chunk, now: float) -> bool:
        # By the furthest that was ever reached, whatever became of the partition meanwhile.
        frontier = self.get(chunk.place)
        if frontier is None or chunk.end_offset <= frontier.offset:
            return False
        frontier.offset = chunk.end_offset
        return True

    def judge(self: Any, chunk: Chunk) -> Verdict:
        frontier = self.get(chunk.place)
        if frontier is None:
            return Verdict.STALE
        return Verdict.BELOW if chunk.end_offset <= frontier.offset else Verdict.JOINS

    return {
        "streams.transport.frontier.Frontiers.advance": advance,
        "streams.transport.frontier.Frontiers.judge": judge,
    }


def _commits_one_too_many() -> Substitutes:
    to_commit = Frontiers.to_commit

    def further(self: Any) -> Any:
        return {place: offset + 1 for place, offset in to_commit(self).items()}

    return {"streams.transport.frontier.Frontiers.to_commit": further}


def _lost_tails_are_left() -> Substitutes:
    return {"streams.transport.mending.Mender.mend_lost_tails": _nothing}


def _a_hole_passes_the_books_by() -> Substitutes:
    handle = PostChunk.__call__

    async def handle_records(self: Any, chunk: Chunk) -> None:
        if chunk.records:
            await handle(self, chunk)

    return {"streams.agents.post_events.PostChunk.__call__": handle_records}


def _no_row_locks() -> Substitutes:
    return {"ledger.adapters.memory.locks.Locks.take": _nothing}


def _no_dead_letters() -> Substitutes:
    write = MemoryUnitOfWork.write

    async def forgetful(self: Any, books: Any, decided: Any, at: Any, letters: Any) -> None:
        await write(self, books, decided, at, ())

    return {"ledger.adapters.memory.books.MemoryUnitOfWork.write": forgetful}


def _a_skipped_release() -> Substitutes:
    publish = AdvancePayments._publish

    async def publish_captures(self: Any, payment: Any, command: Any) -> None:
        if not isinstance(command, Release):
            await publish(self, payment, command)

    return {"ledger.application.advance_payments.AdvancePayments._publish": publish_captures}


def _unknown_is_taken_as_declined() -> Substitutes:
    from ledger.application import payment_calls

    heard = payment_calls.heard

    def guess(answer: Any, call: Any) -> Heard:
        said = heard(answer, call)
        if isinstance(said.happening, UnknownHappened):
            return said._replace(happening=ChargeDeclined("no answer"))
        return said

    return {"ledger.application.advance_payments.heard": guess}


def _a_new_key_for_each_charge() -> Substitutes:
    from ledger.application import payment_calls

    ask = payment_calls.ask
    number = iter(range(1_000_000))

    async def ask_anew(provider: Any, payment: Any, call: Any) -> Any:
        if hasattr(call, "key"):
            call = msgspec.structs.replace(call, key=f"{call.key}-{next(number)}")
        return await ask(provider, payment, call)

    return {"ledger.application.advance_payments.ask": ask_anew}


def _a_window_counted_twice() -> Substitutes:
    def add(one: Window, other: Window) -> Window:
        both = merge(one, other)
        return msgspec.structs.replace(
            both, closing_debits=one.closing_debits + other.closing_debits - both.opening_debits
        )

    return {"streams.windows.shelf.merge": add}


def _chunks_do_not_wait_for_their_checkpoint() -> Substitutes:
    return {"streams.windows.checkpoints.Checkpoints.contains": _nothing}


def _recovery_takes_what_does_not_join() -> Substitutes:
    return {"tests.simulation.rolling.SimulatedTable.on_changelog_event": _nothing}


def _a_missing_tenant_filter() -> Substitutes:
    balance = MemoryBalances.balance

    async def of_anybody(self: Any, tenant_id: int, account: str, asset: str) -> Any:
        return await balance(self, 1, account, asset)

    return {"ledger.adapters.memory.reader.MemoryBalances.balance": of_anybody}


def _a_cached_balance_without_its_age() -> Substitutes:
    async def ageless(self: CachedBalances, tenant: str, balance: Any) -> Any:
        found = await self._cache.get(balance)
        if found.view is not None:
            return Served(found.view, "cache", 0.0)
        return await self._missed(balance, found.lease)

    return {"ledger.application.cached_balances.CachedBalances.balance": ageless}


def _the_last_unit_is_refused() -> Substitutes:
    """Whoever spends exactly what there is, is told that it is too little."""
    can_lose = Balance.can_lose

    def can_nearly_lose(self: Any, amount: int) -> bool:
        return can_lose(self, amount + 1)

    return {"ledger.domain.account.Balance.can_lose": can_nearly_lose}


def _a_repeat_is_refused() -> Substitutes:
    """The same event again is refused as if it had other content."""

    def repeated(event: Any, earlier: Any, at: Any) -> Any:
        return repeated_before(event, msgspec.structs.replace(earlier, fingerprint=b""), at)

    return {"ledger.application.post_events.repeated": repeated}


BUGS: Mapping[str, Callable[[], Substitutes]] = {
    "ack before commit": _ack_before_commit,
    "no dedupe": _no_dedupe,
    "commit error taken as not committed": _commit_error_taken_as_not_committed,
    "commit error taken as committed": _commit_error_taken_as_committed,
    "nothing is published again": _nothing_is_published_again,
    "publishing may fail": _publishing_may_fail,
    "frontier past a dropped chunk": _frontier_past_a_dropped_chunk,
    "old generation moves the frontier": _old_generation_moves_the_frontier,
    "commits one too many": _commits_one_too_many,
    "lost tails are left": _lost_tails_are_left,
    "a hole passes the books by": _a_hole_passes_the_books_by,
    "no row locks": _no_row_locks,
    "no dead letters": _no_dead_letters,
    "a skipped release": _a_skipped_release,
    "unknown is taken as declined": _unknown_is_taken_as_declined,
    "a new key for each charge": _a_new_key_for_each_charge,
    "a window counted twice": _a_window_counted_twice,
    "chunks do not wait for their checkpoint": _chunks_do_not_wait_for_their_checkpoint,
    "recovery takes what does not join": _recovery_takes_what_does_not_join,
    "a missing tenant filter": _a_missing_tenant_filter,
    "the last unit is refused": _the_last_unit_is_refused,
    "a repeat is refused": _a_repeat_is_refused,
    "a cached balance without its age": _a_cached_balance_without_its_age,
}

FOUND_BY: Mapping[str, int] = {
    "recovery takes what does not join": 43,
}
"""Seeds to begin with, because few others find it."""
