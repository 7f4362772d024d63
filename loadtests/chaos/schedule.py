"""When what is injected: a pure function of the seed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from loadtests.chaos.fault import SCENES, Fault


@dataclass(frozen=True, slots=True)
class Act:
    """A fault, with the seed of its chances."""

    fault: Fault
    seed: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One scene's acts in their order."""

    scene: str
    acts: tuple[Act, ...]


def plan(faults: Iterable[Fault], seed: int) -> list[Plan]:
    """Put each fault into its scene, in an order that the seed says."""
    chosen = list(faults)
    return [made for scene in SCENES if (made := _of_scene(scene, chosen, seed)).acts]


def _of_scene(scene: str, faults: Sequence[Fault], seed: int) -> Plan:
    own = [fault for fault in faults if fault.scene == scene]
    Random(f"order {scene} {seed}").shuffle(own)
    return Plan(scene, tuple(Act(fault, f"{fault.name} {seed}") for fault in own))


def endless(faults: Sequence[Fault], seed: int) -> Iterator[Act]:
    """Give faults at random without end: one seed, one order."""
    random, number = Random(f"endless {seed}"), 0
    while True:
        number += 1
        fault = random.choice(faults)
        yield Act(fault, f"{fault.name} {seed} {number}")
