"""The invariants, checked against logs and raw tables: what is found is text that begins with its letter."""

from collections.abc import Callable, Iterable, Iterator

from tests.simulation.checks.books import balances_agree, entries_sum_to_zero
from tests.simulation.checks.decisions import decisions_agree
from tests.simulation.checks.replay import replay_gives_the_same
from tests.simulation.checks.rest import restless as restless
from tests.simulation.checks.sagas import sagas_end_well
from tests.simulation.checks.stream import every_record_is_accounted_for, outcomes_tell_the_books
from tests.simulation.checks.windows import windows_agree
from tests.simulation.world import World

FOUND_MAX = 20

CHECKS: tuple[Callable[[World], Iterable[str]], ...] = (
    entries_sum_to_zero,
    balances_agree,
    decisions_agree,
    every_record_is_accounted_for,
    outcomes_tell_the_books,
    replay_gives_the_same,
    windows_agree,
    sagas_end_well,
)


def check(world: World) -> list[str]:
    """Give what was found: nothing, if all is well."""
    found = [f"V crashed: {each}" for each in world.crashes]
    found += world.found
    for each in CHECKS:
        found += _guarded(each, world)
    return found[:FOUND_MAX]


def _guarded(each: Callable[[World], Iterable[str]], world: World) -> Iterator[str]:
    try:
        yield from each(world)
    except Exception as fault:
        # What a check cannot read is a finding as well.
        yield f"? {each.__name__} failed: {fault!r}"
