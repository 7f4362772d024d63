"""How a worker's process ends, for whoever starts it again."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    CLEAN = 0
    CRASHED = 70
    HUNG = 71
    STALLED = 75
