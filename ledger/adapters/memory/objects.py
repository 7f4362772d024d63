"""Objects in memory."""

from collections.abc import Sequence

from ledger.application.archive_ports import StoredObject


class MemoryObjects:
    """Objects that nobody else sees."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def put_new(self, name: str, body: bytes) -> bool:
        is_new = name not in self.contents
        self.contents.setdefault(name, body)
        return is_new

    async def put(self, name: str, body: bytes) -> None:
        self.contents[name] = body

    async def get(self, name: str) -> bytes | None:
        return self.contents.get(name)

    async def part(self, name: str, begin: int, end: int) -> bytes | None:
        found = self.contents.get(name)
        return None if found is None else found[begin:end]

    async def size(self, name: str) -> int | None:
        found = self.contents.get(name)
        return None if found is None else len(found)

    async def names(self, prefix: str) -> Sequence[StoredObject]:
        found = sorted(name for name in self.contents if name.startswith(prefix))
        return [StoredObject(name, len(self.contents[name])) for name in found]
