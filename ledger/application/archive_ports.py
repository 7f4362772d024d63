"""What the archive needs of the world: objects by name; and what it says of itself."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """The name and the length of an object."""

    name: str
    bytes: int


class Objects(Protocol):
    """Objects by name, in a directory or in a store of one of the clouds. Every method may raise ObjectsAwayError."""

    async def put_new(self, name: str, body: bytes) -> bool:
        """Write an object whole, unless there is one of that name: then change nothing and give False."""
        ...

    async def put(self, name: str, body: bytes) -> None:
        """Write an object whole, in the place of one that may be there."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Read an object; None if there is none."""
        ...

    async def part(self, name: str, begin: int, end: int) -> bytes | None:
        """Read bytes `begin` to before `end`, as far as there are any; None if there is no such object."""
        ...

    async def size(self, name: str) -> int | None:
        """Give the length of an object; None if there is none."""
        ...

    async def names(self, prefix: str) -> Sequence[StoredObject]:
        """List the objects whose name begins with `prefix`, which ends with a slash or is empty, by name."""
        ...


class ObjectsAwayError(Exception):
    """The store of objects is away, refuses, or is not there."""


class ArchiveError(Exception):
    """The archive is not such as can be gone on with; nothing was written."""


class NotArchivedError(ArchiveError):
    """The archive has not all of a stretch that is to be read whole."""

    def __init__(self, topic: str, partition: int, first: int, end: int, why: str) -> None:
        super().__init__(f"{topic}/{partition}: the archive lacks offsets {first} to {end - 1}, {why}")


class DamagedArchiveError(ArchiveError):
    """An object of the archive is not what was written."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name
