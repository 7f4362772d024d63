"""Objects through obstore: a directory, S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from ledger.application.archive_ports import ObjectsAwayError, StoredObject

FILE = "file://"

# obstore's own coroutines end in threads of its own that still touch Python: a program that ends just then aborts.
_apart = asyncio.to_thread


def open_objects(url: str, *, make: bool = False) -> "StoredObjects":
    """Open a directory (a path or file://…), or s3://bucket/prefix, gs://…, az://…; with `make`, make the directory.

    What the clouds need besides comes from the environment, as their own tools have it. Raises ObjectsAwayError.
    """
    if "://" in url and not url.startswith(FILE):
        with _told():
            return StoredObjects(from_url(url))
    directory = Path(url.removeprefix(FILE)).absolute()
    if not make and not directory.is_dir():
        raise ObjectsAwayError(f"there is no directory {directory}")
    with _told():
        return StoredObjects(LocalStore(directory, mkdir=True), directory)


class StoredObjects:
    """Objects of one store."""

    def __init__(self, store: ObjectStore, directory: Path | None = None) -> None:
        self._store = store
        self._directory = directory

    async def put_new(self, name: str, body: bytes) -> bool:
        with _told():
            try:
                await _apart(obstore.put, self._store, name, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        await _apart(self._make_durable, name)
        return True

    async def put(self, name: str, body: bytes) -> None:
        with _told():
            await _apart(obstore.put, self._store, name, body, use_multipart=False)
        await _apart(self._make_durable, name)

    async def get(self, name: str) -> bytes | None:
        with _told():
            try:
                return await _apart(lambda: bytes(obstore.get(self._store, name).bytes()))
            except (FileNotFoundError, NotFoundError):
                return None

    async def part(self, name: str, begin: int, end: int) -> bytes | None:
        size = await self.size(name)
        if size is None or begin >= min(end, size):
            return None if size is None else b""
        with _told():
            found = await _apart(obstore.get_range, self._store, name, start=begin, end=min(end, size))
            return bytes(found)

    async def size(self, name: str) -> int | None:
        with _told():
            try:
                return (await _apart(obstore.head, self._store, name))["size"]
            except (FileNotFoundError, NotFoundError):
                return None

    async def names(self, prefix: str) -> Sequence[StoredObject]:
        with _told():
            found = await _apart(lambda: obstore.list(self._store, prefix=prefix or None).collect())
        return sorted(StoredObject(each["path"], each["size"]) for each in found)

    def _make_durable(self, name: str) -> None:
        """Flush a file and the directories that name it: the clouds do so by themselves, obstore on disk does not."""
        if self._directory is None:
            return
        path = self._directory / name
        with _told():
            for each in (path, *path.parents):
                _flush(each)
                if each == self._directory:
                    break


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """Turn the store's faults into ObjectsAwayError, in one sentence."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        sentence, _, _ = str(error).partition("\n")
        raise ObjectsAwayError(sentence) from error
