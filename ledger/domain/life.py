"""All that was ever seen of an account and asset: one window from its first entry on, and the versions it misses."""

from collections.abc import Iterator, Sequence

from ledger.domain.window import Window, merge

Holes = tuple[tuple[int, int], ...]
"""Versions that were not seen, as (first, last), in order and apart."""

HOLES_MAX = 256


class Life(Window, frozen=True, array_like=True, gc=False):
    """The window of everything seen. Its last entry is the newest, its first the smallest version ever seen.

    Two writers publish the entries of an account independently, so versions come out of order for a moment: those
    that are missing between the first and the last are its holes. Joining two lives is associative, commutative
    and idempotent, as merging windows is, while there are at most `HOLES_MAX` holes. Beyond that the two that are
    closest become one: versions between them count as not seen, which is safe.
    """

    holes: Holes = ()

    @property
    def missing(self) -> int:
        """How many versions were not seen."""
        return sum(last - first + 1 for first, last in self.holes)


def life_of(window: Window, holes: Holes = ()) -> Life:
    """Make the life of which a window is all that was seen."""
    return Life(
        window.normal_side,
        window.first_version,
        window.opening_debits,
        window.opening_credits,
        window.last_version,
        window.closing_debits,
        window.closing_credits,
        window.low,
        window.high,
        window.last_posted_at_us,
        holes,
    )


def join(life: Life, other: Life) -> Life:
    """Put two lives of the same account and asset together; gives `life` itself where the other adds nothing."""
    if life.last_version + 1 == other.first_version and not other.holes:
        holes = life.holes  # the next entry, as nearly always
    else:
        holes = _unseen_by_both(life, other)
    both = merge(life, other)
    return life if both is life and holes == life.holes else life_of(both, holes)


def live_on(life: Life, entry: Window) -> Life:
    """Join the window of a single entry to a life; the same as `join`, and faster for what nearly always comes."""
    if entry.last_version == life.last_version + 1:
        return Life(
            life.normal_side,
            life.first_version,
            life.opening_debits,
            life.opening_credits,
            entry.last_version,
            entry.closing_debits,
            entry.closing_credits,
            entry.low if entry.low < life.low else life.low,
            entry.high if entry.high > life.high else life.high,
            entry.last_posted_at_us,
            life.holes,
        )
    if not life.holes and life.first_version <= entry.last_version <= life.last_version:
        return life
    return join(life, life_of(entry))


def is_complete(window: Window, life: Life) -> bool:
    """Say whether every entry that belongs into a window, up to the newest seen, is known to be in it.

    The entry before its first was seen, so it belongs to an earlier window; and no version is missing inside, right
    before or right after.
    """
    if window.first_version != 1 and window.first_version <= life.first_version:
        return False
    return not any(
        first <= window.last_version + 1 and window.first_version - 1 <= last for first, last in life.holes
    )


def _unseen_by_both(one: Life, other: Life) -> Holes:
    low, high = min(one.first_version, other.first_version), max(one.last_version, other.last_version)
    both = tuple(_overlaps(tuple(_unseen(one, low, high)), tuple(_unseen(other, low, high))))
    return both if len(both) <= HOLES_MAX else _fewer(both)


def _unseen(life: Life, low: int, high: int) -> Iterator[tuple[int, int]]:
    if low < life.first_version:
        yield low, life.first_version - 1
    yield from life.holes
    if life.last_version < high:
        yield life.last_version + 1, high


def _overlaps(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    left, right = iter(one), iter(other)
    here, there = next(left, None), next(right, None)
    while here is not None and there is not None:
        low, high = max(here[0], there[0]), min(here[1], there[1])
        if low <= high:
            yield low, high
        if here[1] <= there[1]:
            here = next(left, None)
        else:
            there = next(right, None)


def _fewer(holes: Holes) -> Holes:
    """Make one of the two that are closest, until few enough are left."""
    left = list(holes)
    while len(left) > HOLES_MAX:
        at = min(range(len(left) - 1), key=lambda index: left[index + 1][0] - left[index][1])
        left[at : at + 2] = [(left[at][0], left[at + 1][1])]
    return tuple(left)
