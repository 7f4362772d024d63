"""Whether the memory of a process stays as it is: of each long life the last quarter against the two before.

While the first quarter of an hour lasts, caches fill, and windows come to the age at which they are merged; in the
first quarter of a life it warms up. Against the higher of the two: a worker that takes over the partitions of another
has more to hold from then on; one that does so late in its life is told as grown. Whoever a fault has ended begins
anew, and how much it holds then goes by what is going on: one life says nothing of another.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from loadtests.chaos.results import Checked

GROWTH_MAX = 1.04
FILLED_S = 900.0
LIFE_S_MIN = 900.0

KINDS = ("worker-", "windows-", "payments-", "chain-", "api")

Point = tuple[float, float]
"""Seconds since the start, and MiB."""


def memory_verdict(
    memory_mib: Mapping[str, Sequence[Point]], births_s: Mapping[str, Sequence[float]]
) -> dict[str, Checked]:
    """Judge the ledger's own processes, and name the kinds of them of which none lived for long enough."""
    judged = [
        (name, life)
        for name, points in memory_mib.items()
        for life in _lives(points, births_s.get(name, ()))
        if name.startswith(KINDS) and _is_long(life)
    ]
    missed = [kind.rstrip("-") for kind in KINDS if not any(name.startswith(kind) for name, _ in judged)]
    minutes = f"{LIFE_S_MIN / 60:g} minutes after the first {FILLED_S / 60:g}"
    notes = [f"memory: {', '.join(missed)} had no life of {minutes}"] if missed else []
    if not judged:
        return {"V": Checked(ok=True, notes=notes)}
    grown = [told for name, life in judged if (told := _grown(name, life))]
    notes += [
        f"memory: lives in minutes: {', '.join(f'{name} {_minutes(life):.0f}' for name, life in judged)}"
    ]
    return {"V": Checked(not grown, len(judged), grown, notes)}


def _lives(points: Sequence[Point], births_s: Sequence[float]) -> Iterator[Sequence[Point]]:
    """Part what was seen under a name by processes, without the first quarter of an hour."""
    filled = [point for point in points if point[0] >= FILLED_S]
    borders = [0.0, *births_s, float("inf")]
    for born, ended in pairwise(borders):
        yield [point for point in filled if born <= point[0] < ended]


def _grown(name: str, life: Sequence[Point]) -> str:
    quarter = len(life) // 4
    second, third, last = (life[-(number + 1) * quarter :][:quarter] for number in (2, 1, 0))
    before, after = max(_middle(second), _middle(third)), _middle(last)
    return f"{name} grew from {before} to {after} MiB" if after > GROWTH_MAX * before else ""


def _middle(points: Sequence[Point]) -> float:
    return round(median(mib for _, mib in points), 1)


def _minutes(life: Sequence[Point]) -> float:
    return (life[-1][0] - life[0][0]) / 60


def _is_long(life: Sequence[Point]) -> bool:
    return len(life) >= 8 and life[-1][0] - life[0][0] >= LIFE_S_MIN
