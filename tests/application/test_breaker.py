"""The circuit breaker, with a clock that is moved by hand."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.application.breaker import Breaker, BreakerOpenError, BreakerRules, BreakerState, Permit

RULES = BreakerRules(calls_min=4, bad_share=0.5, window_s=10, slow_s=1.0, open_s=5, trials=2)


class Scene:
    """A breaker, its clock, and the changes that it told."""

    def __init__(self, rules: BreakerRules = RULES) -> None:
        self.now = 100.0
        self.changes: list[str] = []
        self.breaker = Breaker(rules, lambda: self.now, self._changed)

    def _changed(self, before: BreakerState, after: BreakerState) -> None:
        self.changes.append(f"{before} to {after}")

    def permit(self) -> Permit:
        permit = self.breaker.permit()
        assert permit is not None
        return permit

    def calls(self, script: str) -> None:
        """Make a call for each letter: `.` is answered, `x` fails, `s` is answered slowly."""
        for letter in script:
            permit = self.permit()
            self.now += 1.0 if letter == "s" else 0.01
            (self.breaker.failed if letter == "x" else self.breaker.succeeded)(permit)

    def opened(self) -> "Scene":
        self.calls("xxxx")
        return self


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("....", "closed"),
        ("xxx", "closed"),  # too few to tell
        ("xxxx", "open"),
        ("..xx", "open"),
        ("...x", "closed"),
        (".....xxxxx", "open"),
        ("..ss", "open"),
        ("...s", "closed"),
        ("..sx", "open"),
    ],
)
def test_it_opens_at_half_of_enough_calls(script: str, state: str) -> None:
    scene = Scene()
    scene.calls(script)
    assert scene.breaker.state == state


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    scene = Scene()
    scene.calls("xxx")
    scene.now += 10
    scene.calls("x")
    assert scene.breaker.state == "closed"


def test_of_too_many_calls_the_latest_count() -> None:
    scene = Scene(BreakerRules(calls_min=4, calls_max=4))
    scene.calls("." * 100 + "xx")
    assert scene.breaker.state == "open"


def test_open_lets_no_call_through_until_it_has_rested() -> None:
    scene = Scene().opened()
    scene.now += 4.9
    assert (scene.breaker.permit(), scene.breaker.state) == (None, "open")
    scene.now += 0.2
    assert scene.breaker.state == "half_open"


def test_half_open_lets_one_call_through_at_a_time() -> None:
    scene = Scene().opened()
    scene.now += 5
    trial = scene.permit()
    assert scene.breaker.permit() is None
    scene.breaker.succeeded(trial)
    assert scene.breaker.permit() is not None


def test_it_closes_after_as_many_good_trials_as_asked_for() -> None:
    scene = Scene().opened()
    scene.now += 5
    scene.calls(".")
    assert scene.breaker.state == "half_open"
    scene.calls(".")
    assert scene.changes == ["closed to open", "open to half_open", "half_open to closed"]


@pytest.mark.parametrize("script", ["x", ".x", "s"])
def test_a_bad_trial_opens_it_for_as_long_again(script: str) -> None:
    scene = Scene().opened()
    scene.now += 5
    scene.calls(script)
    assert scene.breaker.permit() is None
    scene.now += 5
    assert scene.breaker.permit() is not None


def test_a_call_from_before_it_opened_says_nothing_about_a_trial() -> None:
    scene = Scene()
    late = scene.permit()
    scene.opened()
    scene.now += 5
    scene.permit()
    scene.breaker.succeeded(late)
    scene.breaker.failed(late)
    assert scene.breaker.state == "half_open"
    assert scene.breaker.permit() is None


def test_a_trial_that_was_cancelled_makes_room_for_another() -> None:
    scene = Scene().opened()
    scene.now += 5
    scene.breaker.given_back(scene.permit())
    assert scene.breaker.permit() is not None


def test_a_trial_of_which_nothing_is_heard_is_given_up() -> None:
    scene = Scene().opened()
    scene.now += 5
    lost = scene.permit()
    scene.now += 5
    scene.permit()
    scene.breaker.failed(lost)
    assert scene.breaker.state == "half_open"


def test_a_call_inside_counts_as_what_it_raises() -> None:
    scene = Scene()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError), scene.breaker.calling():
            raise ZeroDivisionError
    with pytest.raises(BreakerOpenError), scene.breaker.calling():
        raise AssertionError


def test_a_call_inside_that_is_cancelled_counts_as_nothing() -> None:
    scene = Scene()
    for _ in range(9):
        with pytest.raises(asyncio.CancelledError), scene.breaker.calling():
            raise asyncio.CancelledError
    assert scene.breaker.state == "closed"


Steps = st.lists(
    st.tuples(st.sampled_from("?.xs-"), st.floats(0, 4), st.integers(0, 5)), min_size=1, max_size=120
)


@given(Steps)
def test_it_is_never_stuck_and_never_lets_a_crowd_through_to_what_fails(
    steps: list[tuple[str, float, int]],
) -> None:
    scene, held = Scene(), list[Permit]()
    hand_back = {
        ".": scene.breaker.succeeded,
        "s": scene.breaker.succeeded,
        "x": scene.breaker.failed,
        "-": scene.breaker.given_back,
    }
    for kind, seconds, place in steps:
        scene.now += seconds
        state = scene.breaker.state
        if kind == "?" or not held:
            permit = scene.breaker.permit()
            assert (permit is None) <= (state != "closed")
            assert (permit is not None) <= (state != "open")
            assert state != "half_open" or scene.breaker.permit() is None
            held += [] if permit is None else [permit]
        else:
            hand_back[kind](held.pop(place % len(held)))
    # Whatever became of the calls: after a rest there is leave to try, and good trials close it.
    for _ in range(RULES.trials):
        scene.now += RULES.open_s
        scene.breaker.succeeded(scene.permit())
    assert scene.breaker.state == "closed"


# How it stands


def test_a_closed_breaker_tells_the_calls_of_late() -> None:
    scene = Scene()
    scene.calls("..x")
    assert scene.breaker.view() == (BreakerState.CLOSED, 100.0, None, 3, 1)
    scene.now += 10
    assert scene.breaker.view() == (BreakerState.CLOSED, 100.0, None, 0, 0)


def test_an_open_breaker_tells_what_opened_it_and_when_it_tries_again() -> None:
    scene = Scene()
    scene.calls(".xxx")
    opened_at = scene.now
    scene.now += 1
    assert scene.breaker.view() == (BreakerState.OPEN, opened_at, opened_at + 5, 4, 3)
    scene.now += 4
    assert scene.breaker.view() == (BreakerState.HALF_OPEN, opened_at, None, 4, 3)


def test_a_trial_that_fails_opens_it_anew_by_the_same_calls() -> None:
    scene = Scene().opened()
    opened_at = scene.now
    scene.now += 5
    scene.calls("x")
    assert scene.breaker.view() == (BreakerState.OPEN, opened_at, scene.now + 5, 4, 4)
