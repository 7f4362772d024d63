"""When what is injected: a pure function of the seed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def until(self, ends: Callable[[], bool]) -> Iterator[Act]:
        """Give the acts, and then the same faults at random, until it ends."""
        random, number = Random(f"again {self.acts[0].seed}"), 0
        rest = list(self.acts)
        while not ends():
            number += 1
            yield rest.pop(0) if rest else _again(random.choice(self.acts), number)


def plan(faults: Iterable[Fault], seed: int) -> list[Plan]:
    """Put each fault into its scene, in an order that the seed says."""
    chosen = list(faults)
    return [made for scene in SCENES if (made := _of_scene(scene, chosen, seed)).acts]


def _of_scene(scene: str, faults: Sequence[Fault], seed: int) -> Plan:
    own = [fault for fault in faults if fault.scene == scene]
    Random(f"order {scene} {seed}").shuffle(own)
    return Plan(scene, tuple(Act(fault, f"{fault.name} {seed}") for fault in own))


def _again(act: Act, number: int) -> Act:
    return Act(act.fault, f"{act.seed} {number}")
