"""Whether one replay does what another one left, which was stopped before its end. Pure."""

from collections.abc import Mapping

import msgspec

from ledger.application.replaying import Reached, Replay
from streams.replay.plan import Filters
from streams.replay.wish import PUBLISHING, Source, Wish


def source_in(replay: Replay) -> Source:
    """Give what a replay reads, as it was written down."""
    return msgspec.convert(replay.source, Source, strict=False)


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


def _what(source: Source) -> tuple[object, ...]:
    """Say what is read: records are the same in the archive. Only those since the books move their positions."""
    return source.kind in PUBLISHING, source.topic, source.file, source.since_books


def _named(filters: Filters) -> tuple[frozenset[str], ...]:
    return tuple(map(frozenset, (filters.tenants, filters.types, filters.accounts, filters.ids)))
