"""The table of verdicts is whole, says what the machine does, and stands in the page."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from ledger.domain.payments.commands import AlertOperator, Charge
from ledger.domain.payments.happenings import (
    ChargeAccepted,
    ChargeDeclined,
    Decided,
    Decision,
    Happening,
    NotFound,
    Pending,
    ReleaseRefused,
    RetryLater,
    Unknown,
    kind_of,
)
from ledger.domain.payments.machine import RULES, advance
from ledger.domain.payments.moves import IllegalMoveError, check
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import Saga, State, Step
from ledger.domain.payments.steps import Verdict
from ledger.domain.payments.table import TABLE
from tests.builders import NOW
from tests.domain.test_payment_model import live
from tests.payment_page import PAGE, filled
from tests.payment_world import RULES as LIMITS


def every_happening(saga: Saga) -> Iterator[Happening]:
    """Make one of each kind, and both of those that depend on the saga."""
    of = saga.awaiting or Charge("p:charge", 0)
    for kind in get_args(Happening):
        if kind is Decided:
            yield from (Decided(decision, "ops", "ch_1") for decision in Decision)
        elif kind in (Unknown, RetryLater, NotFound, Pending):
            yield from (kind(of), kind(Charge("p:charge", 0)))
        elif kind is ReleaseRefused:
            yield from (ReleaseRefused(saga.event_id or "e", "closed"), ReleaseRefused("other", "closed"))
        else:
            yield _made(kind)


def _made(kind: Any) -> Happening:
    happening: Happening = kind("x") if kind.__struct_fields__ else kind()
    return happening


def sagas() -> dict[State, list[Saga]]:
    """Collect the sagas of many lives, by state."""
    found: dict[State, list[Saga]] = {state: [] for state in State}
    for seed in range(150):
        for saga in live(seed, strict=seed % 2 == 0).stored:
            found[saga.state].append(saga)
    return found


def test_there_is_a_cell_for_every_happening_in_every_state() -> None:
    kinds = {kind_of(happening) for happening in every_happening(Saga(id="p", tenant="t", deadline=NOW))}
    assert TABLE.keys() == {(state, kind) for state in State for kind in kinds}


def test_the_table_and_the_rules_name_the_same_words() -> None:
    assert set(TABLE.values()) == RULES.keys()


@pytest.mark.parametrize("state", State)
def test_every_happening_is_as_its_cell_says_in_every_state(state: State) -> None:
    on = Occasion(NOW, 0.5, "fresh", LIMITS)
    told = {".": Verdict.ABSORBED, "!": Verdict.CONTRADICTION}
    for saga in sagas()[state]:
        for happening in every_happening(saga):
            cell = TABLE[state, kind_of(happening)]
            after, commands, verdict = advance(saga, happening, on)
            assert verdict is not Verdict.ABSORBED or after == saga, happening
            if cell in told:
                is_known = verdict is Verdict.ABSORBED and saga.contradictions
                assert verdict is told[cell] or is_known, happening
                assert replace(after, contradictions=saga.contradictions) == saga, happening
                if is_known:
                    continue
                assert any(isinstance(command, AlertOperator) for command in commands) is (cell == "!")


def test_what_contradicts_is_told_once_but_for_what_an_operator_says() -> None:
    on = Occasion(NOW, 0.5, "fresh", LIMITS)
    for saga in (saga for found in sagas().values() for saga in found):
        for happening in every_happening(saga):
            once = advance(saga, happening, on)
            if once.verdict is Verdict.CONTRADICTION:
                again = advance(once.saga, happening, on)
                said_by_hand = isinstance(happening, Decided) and once.saga == saga
                assert (again.verdict is Verdict.ABSORBED) is not said_by_hand, happening
                assert again.saga == once.saga


def test_saying_the_same_fact_twice_changes_nothing_the_second_time() -> None:
    on = Occasion(NOW, 0.5, "fresh", LIMITS)
    for saga in (saga for found in sagas().values() for saga in found):
        for fact in (ChargeAccepted("ch_1"), ChargeDeclined("no")):
            once = advance(saga, fact, on).saga
            assert advance(once, fact, on).saga == once


def test_a_move_that_is_not_on_the_list_raises() -> None:
    saga = Saga(id="p", tenant="t", deadline=NOW, next_at=NOW, state=State.RELEASED)
    with pytest.raises(IllegalMoveError, match="settled to released"):
        check(Saga(id="p", tenant="t", deadline=NOW, state=State.SETTLED), saga)


@pytest.mark.parametrize(("state", "next_at"), [(State.CHARGING, None), (State.SETTLED, NOW)])
def test_a_saga_that_waits_for_nothing_raises(state: State, next_at: Any) -> None:
    saga = Saga(id="p", tenant="t", deadline=NOW, state=state, step=Step.CHARGE, next_at=next_at)
    with pytest.raises(IllegalMoveError, match="will be woken"):
        check(saga, saga)


def test_the_page_shows_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page
    assert all(f"| `{state}` |" in page for state in State)
    assert all(f"| `{decision}` |" in page for decision in Decision)
