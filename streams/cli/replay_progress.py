"""How far a replay came: a bar on a terminal, else a line now and then; and what is said of one that was stopped."""

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.cli.running import complain
from streams.replay.session import Phase
from streams.replay.wish import Wish

LINE_S = 10.0


class HowFar:
    """Notes how far a replay came, and tells it on standard error."""

    def __init__(self, *, quiet: bool, line_s: float = LINE_S) -> None:
        terminal = sys.stderr.isatty()
        self.done = self.total = 0
        self._lines = not quiet and not terminal
        self._line_s = line_s
        self._begun = self._told = monotonic()
        self._bar = Progress(
            TextColumn("replay"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not terminal,
        )
        self._task = self._bar.add_task("replay", total=None, told="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._bar:
            yield

    def note(self, done: int, total: int, counts: Mapping[str, int]) -> None:
        """Take in how many of how many records were gone through, and the counts."""
        self.done, self.total = done, total
        named = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
        speed = self._bar.tasks[self._task].speed or 0
        self._bar.update(self._task, completed=done, total=total, told=f"{speed:,.0f}/s {named}")
        now = monotonic()
        if self._lines and now - self._told >= self._line_s:
            self._told = now
            complain(f"{done:,} of {total:,} records, {done / (now - self._begun):,.0f}/s: {named}")


def stopped_told(wish: Wish, far: HowFar, phase: Phase, live_schema: str) -> str:
    """Say how far a replay came that was stopped, and how it is gone on with."""
    if phase is Phase.DONE:
        proof = f" `ledger compare {live_schema} {wish.name}` compares the books." if wish.name else ""
        return f"It was stopped when all records were replayed.{proof}"
    if phase is Phase.PLANNED and wish.target != "dry-run":
        made = f", and a schema {wish.name} that it may have made is empty" if wish.name else ""
        return f"It was stopped before it began: nothing was posted{made}."
    came = f"It was stopped after {far.done:,} of {far.total:,} records" if far.total else "It was stopped"
    return f"{came}. {_remedy(wish)}"


def _remedy(wish: Wish) -> str:
    if wish.target == "dry-run":
        return "Nothing was written."
    if wish.filters.accounts:
        with_what = "under another name" if wish.name else "with --anew"
        return f"With --account it is not gone on with: begin it anew, {with_what}."
    if wish.source == "dead-letters":
        return "Begin it anew: what was posted is recognised."
    named = ["--into", wish.name] if wish.name else ["--live"]
    named += ["--since-books"] if wish.since_books else []
    named += ["--file", wish.file] if wish.file else []
    return f"`ledger replay {shlex.join(named)} --resume` goes on."
