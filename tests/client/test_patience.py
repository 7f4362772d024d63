"""What cannot be done now is tried again: as long as was asked for, and not beyond the deadline."""

from time import monotonic

import pytest

from ledger.client import UnavailableError
from ledger.client.patience import BACKOFF_S_MAX, patiently, pause_of


def test_what_was_asked_for_is_waited_in_full() -> None:
    assert [pause_of(2.0, 5, chance) for chance in (0.0, 0.5)] == [2.0, 2.25]


def test_a_pause_doubles_and_is_bounded() -> None:
    assert [pause_of(None, tries, 1.0) for tries in (0, 1, 2)] == [0.1, 0.2, 0.4]
    assert pause_of(None, 5000, 1.0) == BACKOFF_S_MAX
    assert pause_of(None, 3, 0.0) == 0.0


async def test_it_is_asked_until_it_is_answered() -> None:
    answers = iter([UnavailableError("no"), UnavailableError("no", retry_after_s=0.0), 7])

    async def ask() -> int:
        answer = next(answers)
        if isinstance(answer, UnavailableError):
            raise answer
        assert isinstance(answer, int)
        return answer

    assert await patiently(ask, 10.0) == 7


async def test_what_would_come_after_the_deadline_is_not_waited_for() -> None:
    began = monotonic()

    async def ask() -> int:
        raise UnavailableError("busy", retry_after_s=60.0)

    with pytest.raises(UnavailableError, match="busy"):
        await patiently(ask, 5.0)
    assert monotonic() - began < 1.0
