"""What windows workers and those who ask them say to each other over HTTP."""

import msgspec

BALANCE_PATH = "/internal/balance"
WINDOWS_PATH = "/internal/windows"
ROUTES_PATH = "/internal/routes"

WINDOWS_MAX = 1000
"""The most windows in one answer."""


class Routes(msgspec.Struct, frozen=True):
    """Who holds which partition, as one generation of the group has it."""

    generation: int
    partitions: int
    urls: dict[int, str]
    """The base URL of the worker, by partition; one that is missing is held by nobody now."""


class Moved(msgspec.Struct, frozen=True):
    """The answer of a worker that does not hold the partition: who does, as far as it knows."""

    partition: int
    owner: str | None
    generation: int
