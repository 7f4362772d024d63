"""What a fault is: a name of the table, a way to do it, and what it needs."""

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from loadtests.chaos.stage import Stage


class DidNotHappenError(RuntimeError):
    """A fault met nothing, or only a part of it came to be; `did` is what there was of it."""

    def __init__(self, why: str, did: dict[str, Any] | None = None) -> None:
        super().__init__(why)
        self.did = did or {}


Injection = Callable[[Stage, Random], Awaitable[dict[str, Any]]]
Need = Callable[[], str | None]

WHOLE, CLUSTER, STANDBY, SMALL, CLOCKS = "whole", "cluster", "standby", "small disks", "wrong clocks"
SCENES = (WHOLE, STANDBY, CLUSTER, SMALL, CLOCKS)
"""One broker and all programs · with standbys · three brokers · on disks that are soon full · as
the first, for what leaves times in the books that no other fault should be judged by."""


def nothing() -> str | None:
    """It can be done anywhere."""
    return None


def root() -> str | None:
    """Say why it cannot be done by who is not root."""
    return None if os.geteuid() == 0 else "root"


def programs(*names: str) -> Need:
    """Give what asks for root and for programs of the system."""

    def need() -> str | None:
        missing = [name for name in names if shutil.which(name) is None]
        return ", ".join(missing) if missing else root()

    return need


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `inject` does it, heals it, and says what it did; raises DidNotHappenError when it met nothing.

    `needs` gives what is missing to do it here, or none.
    """

    name: str
    title: str
    inject: Injection
    scene: str = WHOLE
    needs: Need = nothing
    loses_commits: bool = False
    """Whether books go back behind what was published, and a replay mends that."""
    reads_all: bool = False
    """Whether it goes through all that was ever posted, which takes long after many records."""

    @property
    def number(self) -> int:
        """Its place in the table."""
        return int(self.name.removeprefix("F"))
