"""Which replay that was stopped before its end is gone on with, and whether another does what it left. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from ledger.application.replaying import Reached, Replay
from streams.replay.plan import Filters
from streams.replay.run import BEGINNING
from streams.replay.wish import PUBLISHING, Source, Wish

CLOCKS_APART = timedelta(hours=1)
"""What a replay posts stands under the time of its machine, and when it began under that of the books."""

_KINDS = {"topic": "the topic", "archive": "the archive", "dead-letters": "dead letters", "file": "a file"}


def source_in(replay: Replay) -> Source:
    """Give what a replay reads, as it was written down."""
    return msgspec.convert(replay.source, Source, strict=False)


def to_go_on(wish: Wish, unfinished: Sequence[Replay]) -> Replay | None:
    """Find the replay that `wish` goes on with, in those that did not end, the newest first; None: no such one.

    What is named must be as it was written down. Where nothing is, a stopped one that others wait for comes first,
    and what can only be begun anew comes last.
    """
    fitting = [each for each in unfinished if _fits(wish, source_in(each))]
    return min(fitting, key=lambda each: _rank(source_in(each)), default=None)


def _rank(source: Source) -> int:
    if source.kind == "dead-letters" or source.filters.accounts:
        return 2
    return 0 if source.kind in PUBLISHING else 1


def _fits(wish: Wish, old: Source) -> bool:
    return (
        (wish.source in ("topic", old.kind))
        and (not wish.since_books or old.since_books)
        and (wish.outcomes in ("books", old.outcomes))
        and (not wish.filters.narrow or _named(wish.filters) == _named(old.filters))
        and (wish.file is None or Path(wish.file).absolute() == Path(old.file or "").absolute())
    )


def told_of(replay: Replay) -> str:
    """Say in a few words which replay one is."""
    source = source_in(replay)
    what = "what the books had lost" if source.since_books else _KINDS[source.kind]
    named = [each for names in _named(source.filters) for each in sorted(names)]
    only = f", only {', '.join(named)}" if named else ""
    count = sum(end - first for first, end in source.lanes.values())
    why = f": {replay.why}" if replay.why else ""
    return (
        f"the replay of {source.file or what}{only} ({count:,} records) that {replay.by} began at "
        f"{replay.started_at:%Y-%m-%dT%H:%M:%SZ}{why}"
    )


def concerns(wish: Wish, old: Source) -> bool:
    """Tell whether what `old` left unpublished, which was stopped, must be known before `wish` begins."""
    # What the books have lost does not wait for what was read of the topic besides.
    return wish.source in PUBLISHING and old.kind in PUBLISHING and (old.since_books or not wish.since_books)


def covers(new: Source, old: Source, reached: Mapping[int, Reached], begins: Mapping[int, int]) -> bool:
    """Tell whether `new` reads all that `old` had before it, which stopped at `reached`.

    Of what lies before `begins`, by partition, nothing can be read any more.
    """
    if new.kind == old.kind == "dead-letters":
        return True  # the letters themselves say what is left of them
    if _what(new) != _what(old) or (new.filters.narrow and _named(new.filters) != _named(old.filters)):
        return False
    for at, (first, end) in old.lanes.items():
        # What follows on an event of an account is taken only by who took that event.
        left = first if new.filters.accounts or at not in reached else reached[at].next
        left = max(left, begins.get(at, left))
        low, high = new.lanes.get(at, (end, end))
        if left < end and not low <= left < end <= high:
            return False
    return True


def left_since(left: Sequence[Replay]) -> datetime | None:
    """Say from which time on the books may hold what stopped replays posted and did not publish."""
    return min((each.started_at - CLOCKS_APART for each in left), default=None)


def own_since(source: Source, replay: Replay, *, resumed: bool) -> datetime | None:
    """Say from which time on the books may hold what this replay posted before it was killed, and did not publish."""
    if source.since_books:
        return BEGINNING  # decided at the times of the first decisions
    if source.kind not in PUBLISHING:
        return None
    return source.own_since or (left_since([replay]) if resumed else replay.started_at)


def _what(source: Source) -> tuple[object, ...]:
    """Say what is read: records are the same in the archive. Only those since the books move their positions."""
    return source.kind in PUBLISHING, source.topic, source.file, source.since_books


def _named(filters: Filters) -> tuple[frozenset[str], ...]:
    return tuple(map(frozenset, (filters.tenants, filters.types, filters.accounts, filters.ids)))
