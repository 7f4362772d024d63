"""The counts of a replay as they are written down, with the reasons of refusals among them. Pure."""

from collections import Counter
from collections.abc import Mapping

_REASON = "rejected: "


def as_written(counts: Mapping[str, int], reasons: Mapping[str, int]) -> dict[str, int]:
    """Give counts and the reasons of refusals in one, to be written down."""
    return {**counts, **{f"{_REASON}{name}": count for name, count in reasons.items()}}


def as_counted(written: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """Give the counts and the reasons of refusals of what was written down."""
    reasons = {name: count for name, count in written.items() if name.startswith(_REASON)}
    counts = {name: count for name, count in written.items() if name not in reasons}
    return Counter(counts), Counter({name.removeprefix(_REASON): count for name, count in reasons.items()})
