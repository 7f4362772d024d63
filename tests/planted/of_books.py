"""Planted bugs of the books: what is decided, claimed and written."""

import importlib
from datetime import datetime
from typing import Any

from ledger.domain.outcome import Earlier, Outcome
from tests.planted.bug import Bug, found, replace, replaced_sql

POST_EVENTS = "ledger.application.post_events"
MOVEMENTS = "ledger.domain.movements"
HOLDING = "ledger.domain.holding"
POSTGRES = "ledger.adapters.postgres"
MODEL = "tests/domain/test_model.py"
JUDGED = "tests/loadtests/checker/test_model.py"


def no_dedupe() -> None:
    async def claim(self: Any, events: Any) -> dict[Any, Any]:
        return {}

    replace("ledger.adapters.memory.books:MemoryUnitOfWork.claim", claim)


def floor_not_checked() -> None:
    replace("ledger.domain.account:Balance.can_lose", lambda self, amount: True)


def floor_forgets_holds() -> None:
    replace("ledger.domain.account:Balance.available", property(lambda self: self.balance))


def last_unit_is_refused() -> None:
    genuine = found("ledger.domain.account:Balance.can_lose")
    replace("ledger.domain.account:Balance.can_lose", lambda self, amount: genuine(self, amount + 1))


def amount_with_wrong_sign() -> None:
    def transfer(books: Any, tenant: str, of: Any, amount: int) -> list[tuple[Any, int]]:
        debit, credit = books.balance(tenant, of.debit, of.asset), books.balance(tenant, of.credit, of.asset)
        return [(debit, amount), (credit, -amount)]

    replace("ledger.domain.posting:transfer", transfer)


def part_is_rounded() -> None:
    genuine = found("ledger.domain.transaction:Original.opposite")
    replace(
        "ledger.domain.transaction:Original.opposite", lambda self, amount: genuine(self, amount // 2 * 2)
    )


def fee_on_top() -> None:
    genuine = found(f"{HOLDING}:_captured")

    def captured(books: Any, hold: Any, amount: int) -> Any:
        movements = genuine(books, hold, amount)
        if len(movements) == 3:
            (credit, part), (_, fee) = movements[1], movements[2]
            movements[1] = (credit, part + fee)
        return movements

    replace(f"{HOLDING}:_captured", captured)
    replace("ledger.domain.transaction:is_unbalanced", lambda lines: False)


def entries_off_by_one() -> None:
    genuine = found(f"{MOVEMENTS}:_move")
    replace(
        f"{MOVEMENTS}:_move",
        lambda books, balance, amount, at: genuine(books, balance, amount + (amount > 50), at),
    )
    replace("ledger.domain.transaction:Transaction.__post_init__", lambda self: None)


def version_gap() -> None:
    genuine = found(f"{MOVEMENTS}:_move")

    def move(books: Any, balance: Any, amount: int, at: datetime) -> Any:
        balance.version += balance.version == 2
        return genuine(books, balance, amount, at)

    replace(f"{MOVEMENTS}:_move", move)


def time_goes_back() -> None:
    replace(f"{MOVEMENTS}:time_of_posting", lambda balances, now: now)


def release_skipped() -> None:
    genuine = found("ledger.domain.holds:Hold.void")

    def void(self: Any, now: datetime) -> int:
        genuine(self, now)
        return 0

    replace("ledger.domain.holds:Hold.void", void)


def released_twice() -> None:
    def take(self: Any, amount: int, *, final: bool) -> int:
        before = int(self.left)
        self.captured += amount
        self.left -= amount
        if final or not self.left:
            rest = self.left
            self._release("captured")
            return before + int(rest)
        return before - int(self.left)

    replace("ledger.domain.holds:Hold.take", take)


def captured_hold_expires() -> None:
    replace(
        "ledger.domain.holds:Hold.has_expired",
        lambda self, now: self.expires_at is not None and now >= self.expires_at,
    )
    genuine = found(f"{HOLDING}:_find")

    def find(*given: Any, **more: Any) -> Any:
        hold = genuine(*given, **more)
        if hold is not None and hold.state == "captured" and hold.expires_at is not None:
            hold.state, hold.left = "open", hold.captured
        return hold

    replace(f"{HOLDING}:_find", find)


def reversed_twice() -> None:
    replace("ledger.domain.transaction:Original.left", property(lambda self: self.size))


def other_content_is_a_duplicate() -> None:
    def repeated(event: Any, earlier: Earlier, at: datetime) -> Outcome:
        return Outcome(event, "duplicate", earlier.posted_at, earlier.transaction, reason=earlier.reason)

    replace(f"{POST_EVENTS}:repeated", repeated)


def duplicate_is_new() -> None:
    replace(f"{POST_EVENTS}:is_redelivery", lambda event, earlier: event.fingerprint == earlier.fingerprint)


def outcome_lost_after_commit() -> None:
    async def recall(self: Any, unit: Any, firsts: Any, known: Any) -> dict[Any, Any]:
        return {}

    replace(f"{POST_EVENTS}:PostEvents._recall", recall)


def outcome_before_commit() -> None:
    async def commit_later(self: Any) -> None:
        self._writes.clear()

    replace("ledger.adapters.memory.books:MemoryUnitOfWork.commit", commit_later)


def unknown_commit_is_a_failure() -> None:
    async def insist(self: Any, batch: Any) -> list[Outcome]:
        try:
            return list(await self._try(batch))
        except found("ledger.application.faults:TransientFaultError"):
            return []

    replace(f"{POST_EVENTS}:PostEvents._insist", insist)


def locks_in_any_order() -> None:
    def anyhow(keys: Any, **_: Any) -> Any:
        return sorted(keys, key=lambda each: hash((id(keys), each)))

    vars(importlib.import_module(f"{POSTGRES}.locking"))["sorted"] = anyhow


def letters_are_dropped() -> None:
    genuine = found("streams.agents.post_events:sort_records")
    replace("streams.agents.post_events:sort_records", lambda *given: (genuine(*given)[0], []))


BUGS = (
    Bug("events are not deduplicated", no_dedupe, ("tests/application/test_post_events.py",)),
    Bug(
        "ids are claimed without a look at those that are there",
        replaced_sql("claim_events", "do nothing", "do update set kind = excluded.kind"),
        ("tests/ports/test_books.py::test_redelivery_gives_the_first_outcomes",),
    ),
    Bug("the floor of a balance is not checked", floor_not_checked, ("tests/domain/test_transfers.py",)),
    Bug("what leaves nothing over is refused", last_unit_is_refused, (MODEL,)),
    Bug("funds that are held can be spent", floor_forgets_holds, ("tests/domain/test_holds.py",)),
    Bug("an amount has the wrong sign", amount_with_wrong_sign, ("tests/domain/test_transfers.py",)),
    Bug("a part of a reversal is rounded", part_is_rounded, ("tests/domain/test_reversals.py", MODEL)),
    Bug("the fee of a payment comes on top", fee_on_top, (MODEL,)),
    Bug("entries do not sum to zero", entries_off_by_one, ("tests/domain/test_transfers.py",)),
    Bug("a version is left out", version_gap, ("tests/domain/test_transfers.py", MODEL)),
    Bug("the time of posting goes back", time_goes_back, ("tests/domain/test_transfers.py",)),
    Bug("a void does not let go of what was held", release_skipped, ("tests/domain/test_holds.py",)),
    Bug("a capture lets go of the rest twice", released_twice, ("tests/domain/test_holds.py",)),
    Bug("a hold that was captured expires", captured_hold_expires, ("tests/domain/test_holds.py",)),
    Bug(
        "the sweep finds holds that are not open",
        replaced_sql("expired_holds", "h.state = 'open' and", ""),
        ("tests/ports/test_expired_holds.py",),
    ),
    Bug("a transaction is reversed twice", reversed_twice, ("tests/domain/test_reversals.py",)),
    Bug(
        "how much was reversed is not written down",
        replaced_sql("upsert_reversals", "do update set reversed = excluded.reversed", "do nothing"),
        ("tests/ports/test_books.py::test_life_of_the_books_event_by_event",),
    ),
    Bug(
        "another content under a known id is taken for a duplicate",
        other_content_is_a_duplicate,
        ("tests/application/test_post_events.py",),
    ),
    Bug("a duplicate is answered as new", duplicate_is_new, ("tests/application/test_post_events.py",)),
    Bug(
        "an outcome is lost after the commit",
        outcome_lost_after_commit,
        ("tests/application/test_post_events.py",),
    ),
    Bug(
        "an outcome is told without a commit",
        outcome_before_commit,
        ("tests/application/test_post_events.py",),
    ),
    Bug(
        "a commit of which nothing is known is taken for failed",
        unknown_commit_is_a_failure,
        ("tests/application/test_post_events.py",),
    ),
    Bug(
        "rows are locked in any order",
        locks_in_any_order,
        ("tests/ports/test_lock_order.py",),
    ),
    Bug(
        "records that were skipped are no gap",
        replaced_sql("advance_offset", "where s.next_offset >= $3", ""),
        ("tests/ports/test_books.py::test_gap_leaves_no_trace",),
    ),
    Bug("what is no event is not kept", letters_are_dropped, ("tests/streams/test_poison.py",)),
)
