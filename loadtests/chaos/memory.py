"""Whether the memory of a process stays as it is: of each long life the last quarter against the two before.

In the first it warms up. Against the higher of the two: a worker that takes over the partitions of another has more to
hold from then on; one that does so late in its life is told as grown. A leak of less than a sixth in the whole of a
life is not found: a longer one finds it. Whoever a fault has ended begins anew, and how much it holds then goes by what
is going on: one life says nothing of another. So a long run spares one worker of each kind, and says where none lived
for long enough all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf
from statistics import median

from loadtests.chaos.results import Checked

GROWTH_MAX = 1.04
LIFE_S_MIN = 1800.0
"""Shorter lives say nothing: caches fill, and windows come to the age at which they are merged."""

KINDS = ("worker-", "windows-", "payments-", "chain-", "api")

Point = tuple[float, float]
"""Seconds since the start, and MiB."""


def memory_verdict(
    memory_mib: Mapping[str, Sequence[Point]], births_s: Mapping[str, Sequence[float]]
) -> dict[str, Checked]:
    """Judge the ledger's own processes; of a run that was too short it is only said that it was.

    `births_s` are the moments at which the processes of a name began.
    """
    own = {name: points for name, points in memory_mib.items() if name.startswith(KINDS)}
    if not any(_is_long(points) for points in own.values()):
        note = f"memory is judged in runs of {LIFE_S_MIN / 60:g} minutes and more"
        return {"V": Checked(ok=True, notes=[note])}
    lives = [
        (name, life)
        for name, points in own.items()
        for life in _lives(points, births_s.get(name, ()))
        if _is_long(life)
    ]
    findings = [told for name, life in lives if (told := _grown(name, life))]
    findings += [
        f"no {kind.rstrip('-')} lived for {LIFE_S_MIN / 60:g} minutes: its memory is not known"
        for kind in KINDS
        if not any(name.startswith(kind) for name, _ in lives)
    ]
    said = ", ".join(f"{name} {(life[-1][0] - life[0][0]) / 60:.0f}" for name, life in lives)
    return {
        "V": Checked(
            not findings, len(lives), list(findings), [f"memory was judged of lives, in minutes: {said}"]
        )
    }


def _lives(points: Sequence[Point], births_s: Sequence[float]) -> Iterator[Sequence[Point]]:
    """Part what was seen under a name by the processes that had it."""
    for born, ended in pairwise([0.0, *births_s, inf]):
        yield [point for point in points if born <= point[0] < ended]


def _grown(name: str, life: Sequence[Point]) -> str:
    quarter = len(life) // 4
    second, third, last = (life[-(number + 1) * quarter :][:quarter] for number in (2, 1, 0))
    before, after = max(_middle(second), _middle(third)), _middle(last)
    return f"{name} grew from {before} to {after} MiB" if after > GROWTH_MAX * before else ""


def _middle(points: Sequence[Point]) -> float:
    return round(median(mib for _, mib in points), 1)


def _is_long(life: Sequence[Point]) -> bool:
    return len(life) >= 8 and life[-1][0] - life[0][0] >= LIFE_S_MIN
