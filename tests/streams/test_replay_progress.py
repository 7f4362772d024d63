"""What is told of a replay that runs, and of one that was stopped."""

import asyncio
import os
import signal

import pytest

from streams.cli.replay_progress import HowFar, stopped_told
from streams.cli.stopping import StoppedError, until_stopped
from streams.replay.plan import Filters
from streams.replay.session import Phase
from streams.replay.wish import Wish

INTO, LIVE = Wish(target="into", name="again"), Wish(target="live")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_work_in_peace_and_is_told(number: int) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = signal.getsignal(number)
    try:
        with pytest.raises(StoppedError) as stopped:
            await until_stopped(work())
        # A second one ends the process.
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    finally:
        signal.signal(number, before)
    assert (stopped.value.number, ended.is_set()) == (number, True)


async def test_work_that_nothing_stops_comes_to_its_end() -> None:
    assert await until_stopped(asyncio.sleep(0, "done")) == "done"


@pytest.mark.parametrize(
    ("wish", "phase", "said"),
    [
        (INTO, Phase.BEGUN, "after 2,040 of 5,040 records. `ledger replay --into again --resume` goes on."),
        (INTO, Phase.PLANNED, "before it began: nothing was posted"),
        (INTO, Phase.DONE, "`ledger compare ledger again` compares the books."),
        (LIVE, Phase.BEGUN, "`ledger replay --live --resume` goes on."),
        (Wish(target="live", since_books=True), Phase.BEGUN, "`ledger replay --live --since-books --resume`"),
        (Wish(target="live", source="file", file="a b"), Phase.BEGUN, "--live --file 'a b' --resume`"),
        (Wish(target="live", source="dead-letters"), Phase.BEGUN, "Begin it anew"),
        (Wish(target="live", filters=Filters(accounts=["ann"])), Phase.BEGUN, "begin it anew, with --anew"),
        (Wish(target="dry-run"), Phase.PLANNED, "after 2,040 of 5,040 records. Nothing was written."),
    ],
)
def test_how_a_stopped_one_goes_on_is_told(wish: Wish, phase: Phase, said: str) -> None:
    far = HowFar(quiet=True)
    far.note(2040, 5040, {"posted": 2040})
    assert said in stopped_told(wish, far, phase, "ledger")


def test_a_line_now_and_then_is_told_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for line_s, quiet in ((3600.0, False), (0.0, True), (0.0, False)):
        assert capsys.readouterr().err == ""
        HowFar(quiet=quiet, line_s=line_s).note(2040, 5040, {"posted": 2000, "known": 40})
    said = capsys.readouterr().err
    assert said.startswith("2,040 of 5,040 records, ")
    assert said.endswith("/s: known 40, posted 2,000\n")
