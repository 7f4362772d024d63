"""Metadata: JSON of the producer's own, which the books keep and compare but never read."""

from typing import Any


def same_json(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: `true` is not 1, but 1e23 is 10**23 however it is stored."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _same_number(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def _same_number(one: float, other: float) -> bool:
    if isinstance(one, int) is isinstance(other, int):
        return one == other
    try:
        return float(one) == float(other)
    except OverflowError:
        return False
