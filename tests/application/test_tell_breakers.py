"""Workers tell how their breakers stand: at once when one changes, and now and then."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.application.breaker import BreakerState, BreakerView
from ledger.application.faults import TransientFaultError
from ledger.application.provider_reading import BreakerTold
from ledger.application.tell_breakers import TellBreakers
from tests.builders import NOW, HandClock
from tests.fakes import RememberedSignals

KEY = ("acme", "bank")
CLOSED = BreakerView(BreakerState.CLOSED, 90.0, None, 3, 1)
OPEN = BreakerView(BreakerState.OPEN, 99.0, 104.0, 10, 7)


@dataclass
class Scene:
    """A worker that tells, and a board that remembers, or is away."""

    ticks: float = 100.0
    is_away: bool = False
    views: dict[tuple[str, str], BreakerView] = field(default_factory=dict)
    told: list[list[BreakerTold]] = field(default_factory=list)
    signals: RememberedSignals = field(default_factory=RememberedSignals)

    def __post_init__(self) -> None:
        self.telling = TellBreakers(
            lambda: self.views, self, HandClock(), lambda: self.ticks, "w1", self.signals
        )

    async def tell(self, worker: str, breakers: Sequence[BreakerTold], forget_before: datetime) -> None:
        assert (worker, forget_before) == ("w1", NOW - timedelta(seconds=60))
        if self.is_away:
            raise TransientFaultError("as told")
        self.told.append(list(breakers))


async def test_what_changed_is_told_at_once_and_nothing_twice() -> None:
    scene = Scene()
    await scene.telling.look()
    assert scene.told == []
    for view in (CLOSED, CLOSED, OPEN):
        scene.views = {KEY: view}
        await scene.telling.look()
    assert [[each.state for each in told] for told in scene.told] == [["closed"], ["open"]]


async def test_times_are_those_of_the_clock() -> None:
    scene = Scene(views={KEY: OPEN})
    await scene.telling.look()
    ((told,),) = scene.told
    assert (told.since, told.retry_at) == (NOW - timedelta(seconds=1), NOW + timedelta(seconds=4))
    assert (told.tenant, told.provider, told.calls, told.bad, told.told_at) == (*KEY, 10, 7, NOW)


async def test_it_is_told_again_after_a_while() -> None:
    scene = Scene(views={KEY: CLOSED})
    for _ in range(3):
        await scene.telling.look()
        scene.ticks += 2.5
    assert len(scene.told) == 2


async def test_a_provider_that_is_not_opened_any_more_is_taken_back() -> None:
    scene = Scene(views={KEY: CLOSED})
    await scene.telling.look()
    scene.views = {}
    await scene.telling.look()
    assert scene.told[-1] == []


async def test_what_could_not_be_told_is_told_next_time() -> None:
    scene = Scene(views={KEY: OPEN}, is_away=True)
    await scene.telling.look()
    scene.is_away = False
    await scene.telling.look()
    assert len(scene.told) == 1
    assert "breakers.not_told" in scene.signals.names()
