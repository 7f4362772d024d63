"""Makes a plan that fails smaller: fewer faults and fewer events, while it still fails in the same way."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from tests.simulation.plan import Plan

RUNS_MAX = 300

Part = TypeVar("Part")
Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, runs_max: int = RUNS_MAX) -> Plan:
    """Give a smaller plan that still fails; `fails` runs one. Bounded by a number of runs."""
    left = [runs_max]

    def still(candidate: Plan) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    smaller = _without(plan, "faults", still)
    smaller = _without(smaller, "sent", still)
    smaller = _without(smaller, "faults", still)
    return _with_fewer_processes(smaller, still)


def _without(plan: Plan, name: str, still: Fails) -> Plan:
    """Leave out parts: halves first, then smaller ones, then each by itself."""
    size = max(1, len(getattr(plan, name)) // 2)
    while True:
        shorter = _one_less(plan, name, size, still)
        if shorter is not None:
            plan = shorter
        elif size > 1:
            size //= 2
        else:
            return plan


def _one_less(plan: Plan, name: str, size: int, still: Fails) -> Plan | None:
    parts = getattr(plan, name)
    for rest in _rests(parts, size):
        candidate = replace(plan, **{name: rest})
        if still(candidate):
            return candidate
    return None


def _rests(parts: Sequence[Part], size: int) -> Iterator[tuple[Part, ...]]:
    for start in range(0, len(parts), size):
        yield (*parts[:start], *parts[start + size :])


def _with_fewer_processes(plan: Plan, still: Fails) -> Plan:
    for name, least in (("readers", 0), ("windows", 0), ("payments", 0), ("posting", 1)):
        while getattr(plan, name) > least:
            fewer: dict[str, Any] = {name: getattr(plan, name) - 1}
            if not still(replace(plan, **fewer)):
                break
            plan = replace(plan, **fewer)
    return plan
