"""Whether the memory of a process stays as it is: its last quarter against the two before.

In the first it warms up. Against the higher of the two: a worker that takes over the partitions of another has more to
hold from then on; one that does so late in the run is told as grown. A leak of less than a sixth in the whole run is
not found: a longer one finds it. Whoever a fault has ended begins anew: how long each has lived at most is told beside.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from loadtests.chaos.results import Checked

GROWTH_MAX = 1.04
SECONDS_MIN = 1800.0
"""Shorter runs say nothing: caches fill, and windows come to the age at which they are merged."""

LEDGER = ("worker-", "windows-", "payments-", "chain-", "api")

Points = Sequence[tuple[float, float]]


def memory_verdict(memory_mib: Mapping[str, Points], lives_s: Mapping[str, float]) -> dict[str, Checked]:
    """Judge the ledger's own processes; of a run that was too short it is only said that it was."""
    own = {name: each for name, each in memory_mib.items() if name.startswith(LEDGER) and _is_long(each)}
    grown = [told for name, each in own.items() if (told := _grown(name, each))]
    if not own:
        return {
            "V": Checked(
                ok=True, notes=[f"memory is judged in runs of {SECONDS_MIN / 60:g} minutes and more"]
            )
        }
    lives = ", ".join(f"{name} {lives_s[name] / 60:.0f}" for name in sorted(own) if name in lives_s)
    return {
        "V": Checked(not grown, len(own), list(grown), [f"memory; the longest lives in minutes: {lives}"])
    }


def _grown(name: str, points: Points) -> str:
    quarter = len(points) // 4
    second, third, last = (points[-(number + 1) * quarter :][:quarter] for number in (2, 1, 0))
    before, after = max(_middle(second), _middle(third)), _middle(last)
    return f"{name} grew from {before} to {after} MiB" if after > GROWTH_MAX * before else ""


def _middle(points: Points) -> float:
    return round(median(mib for _, mib in points), 1)


def _is_long(points: Points) -> bool:
    return len(points) >= 8 and points[-1][0] - points[0][0] >= SECONDS_MIN
