"""A payment in worlds where everything goes wrong: it ends, and no money is lost, doubled or stuck."""

from random import Random
from typing import ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ledger.domain.payments.moves import MOVES
from ledger.domain.payments.saga import State
from tests.payment_world import FATES, World

indexes = st.integers(0, 7)
fates = st.sampled_from(FATES)


class PaymentMachine(RuleBasedStateMachine):
    """Any interleaving of answers, silence, repeats, crashes, timers, webhooks and operators."""

    strict: ClassVar[bool]

    @initialize(
        refuses_capture=st.booleans(),
        refunds_to_refuse=st.integers(0, 5),
        granted=st.sampled_from([1, 1, 1, 0]),
    )
    def begin(self, refuses_capture: bool, refunds_to_refuse: int, granted: int) -> None:
        self.world = World(self.strict, refuses_capture, refunds_to_refuse)
        self.world.request(granted=bool(granted))

    @precondition(lambda self: self.world.waiting)
    @rule(index=indexes, fate=fates, good=st.booleans())
    def run_command(self, index: int, fate: str, good: bool) -> None:
        self.world.run(index, fate, good)

    @rule(index=indexes, fate=fates, good=st.booleans())
    def repeat_command(self, index: int, fate: str, good: bool) -> None:
        self.world.repeat(index, fate, good)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @precondition(lambda self: self.world.inbox)
    @rule(index=indexes, again=st.booleans())
    def deliver(self, index: int, again: bool) -> None:
        self.world.deliver(index, again=again)

    @precondition(lambda self: self.world.inbox)
    @rule(index=indexes)
    def forget(self, index: int) -> None:
        self.world.forget(index)

    @precondition(lambda self: self.world.network)
    @rule(index=indexes)
    def land(self, index: int) -> None:
        self.world.land(index)

    @precondition(lambda self: not self.strict)
    @rule(index=indexes)
    def webhook(self, index: int) -> None:
        self.world.webhook(index)

    @precondition(lambda self: not self.strict)
    @rule(index=indexes)
    def fail_over(self, index: int) -> None:
        self.world.fail_over(index)

    @rule()
    def interfere(self) -> None:
        self.world.interfere()

    @rule(seconds=st.sampled_from([0.5, 2, 10, 41, 100]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: not self.strict)
    @rule()
    def clock_jumps_back(self) -> None:
        self.world.wait(-30)

    @rule(seconds=st.sampled_from([0, 10, 41]), chance=st.sampled_from([0.0, 0.5, 0.99]))
    def wake(self, seconds: float, chance: float) -> None:
        self.world.wait(seconds)
        self.world.chance = chance
        self.world.wake()

    @rule(chance=st.sampled_from([0.0, 0.5, 0.99]))
    def wake_in_time(self, chance: float) -> None:
        self.world.chance = chance
        self.world.wake_in_time()

    @precondition(lambda self: self.world.saga.state is State.NEEDS_OPERATOR)
    @rule(index=indexes)
    def decide(self, index: int) -> None:
        self.world.decide(index)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()


class StrictMachine(PaymentMachine):
    """Here the machine must never be wrong."""

    strict = True


class WildMachine(PaymentMachine):
    """Here it must be right in the end."""

    strict = False


TestStrict = StrictMachine.TestCase
TestStrict.settings = settings(stateful_step_count=30)
TestWild = WildMachine.TestCase
TestWild.settings = settings(stateful_step_count=30)


def live(seed: int, *, strict: bool) -> World:
    """Play one random life to its end."""
    chance = Random(seed)
    world = World(strict, chance.random() < 0.4, chance.choice([0, 0, 1, 5]))
    world.request(granted=chance.random() < 0.95)
    # Each life has its own weather: mostly one thing goes wrong.
    weather = (*FATES, *[chance.choice(FATES)] * 12)
    for _ in range(40):
        index, good = chance.randrange(8), chance.random() < 0.7
        match chance.choices(ACTIONS, WEIGHTS)[0]:
            case "run":
                world.run(index, chance.choice(weather), good)
            case "repeat":
                world.repeat(index, chance.choice(weather), good)
            case "wake":
                world.chance = chance.random()
                world.wait(chance.choice([0, 1, 10, 20]))
                world.wake()
            case "deliver":
                world.deliver(index, again=chance.random() < 0.2)
            case "interfere":
                world.interfere()
            case "wait":
                world.wait(chance.choice([1, 5, 40, -10 if not strict else 0]))
            case "crash":
                world.crash()
            case other:
                getattr(world, other)(index)
    world.finish()
    return world


ACTIONS, WEIGHTS = zip(
    ("run", 12),
    ("deliver", 10),
    ("wake", 10),
    ("wait", 2),
    ("repeat", 1),
    ("crash", 1),
    ("forget", 1),
    ("webhook", 0.5),
    ("land", 0.5),
    ("decide", 1),
    ("interfere", 0.05),
    ("fail_over", 0.1),
    strict=True,
)


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "wild"])
def test_every_random_life_ends_with_its_sums_right(strict: bool) -> None:
    ends = {live(seed, strict=strict).saga.state for seed in range(1000)}
    assert ends == {state for state in State if state.is_end}


def test_every_move_on_the_list_is_made_by_some_life() -> None:
    made = {move for seed in range(3000) for move in live(seed, strict=seed % 2 == 0).moves}
    assert MOVES.keys() - made == set()
