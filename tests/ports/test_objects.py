"""Objects in memory, in a directory and in a store that speaks S3: the same answers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from ledger.adapters.memory.objects import MemoryObjects
from ledger.adapters.objects.store import open_objects
from ledger.application.archive_ports import Objects, ObjectsAwayError, StoredObject
from ledger.application.archived_topic import ArchivedTopic
from ledger.application.verify_archive import VerifyArchive
from tests.archives import TOPIC, MemoryTopic, archived, everything, odd_records
from tests.s3 import SmallS3


@pytest.fixture
async def small_s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallS3]:
    async with SmallS3().serving() as store:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        yield store


@pytest.fixture
def memory() -> Objects:
    return MemoryObjects()


@pytest.fixture
def directory(tmp_path: Path) -> Objects:
    return open_objects(str(tmp_path / "made" / "here"), make=True)


@pytest.fixture
def s3(small_s3: SmallS3) -> Objects:
    return open_objects("s3://bucket/a/prefix")


@pytest.fixture(params=["memory", "directory", "s3"])
def objects(request: pytest.FixtureRequest) -> Objects:
    found: Objects = request.getfixturevalue(request.param)
    return found


async def test_object_is_written_once(objects: Objects) -> None:
    assert await objects.put_new("a/b", b"first")
    assert not await objects.put_new("a/b", b"second")
    assert not await objects.put_new("a/b", b"first")
    assert await objects.get("a/b") == b"first"


async def test_of_many_who_write_at_once_one_does(objects: Objects) -> None:
    bodies = [bytes([number]) * 10_000 for number in range(8)]
    written = await asyncio.gather(*(objects.put_new("a/b", body) for body in bodies))
    assert sum(written) == 1
    assert await objects.get("a/b") == bodies[written.index(True)]


async def test_object_can_be_written_over(objects: Objects) -> None:
    await objects.put("a", b"first")
    await objects.put("a", b"2")
    assert (await objects.get("a"), await objects.size("a")) == (b"2", 1)


@pytest.mark.parametrize(("begin", "end", "read"), [(0, 2, b"01"), (3, 99, b"345"), (6, 9, b""), (2, 2, b"")])
async def test_part_is_read_as_far_as_it_goes(objects: Objects, begin: int, end: int, read: bytes) -> None:
    await objects.put("a", b"012345")
    assert await objects.part("a", begin, end) == read


async def test_absent_object_is_none(objects: Objects) -> None:
    assert [await objects.get("a"), await objects.size("a"), await objects.part("a", 0, 1)] == [None] * 3


async def test_names_are_listed_in_order(objects: Objects) -> None:
    for name in ("b/2/x", "b/10/x", "b/1/y", "b/1/x", "bb/x", "a"):
        await objects.put(name, name.encode())
    assert await objects.names("b/") == [
        StoredObject(name, len(name)) for name in ("b/1/x", "b/1/y", "b/10/x", "b/2/x")
    ]
    assert len(await objects.names("")) == 6
    assert await objects.names("c/") == []


async def test_archive_is_written_and_read(objects: Objects) -> None:
    topic = MemoryTopic()
    topic.add(odd_records(Random(1), 100))
    await archived(topic, objects)
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]
    assert (await VerifyArchive(objects)([TOPIC])).ok


async def test_store_that_is_busy_is_asked_again(small_s3: SmallS3, s3: Objects) -> None:
    small_s3.failures = 2
    assert await s3.put_new("a", b"x")
    assert list(small_s3.contents) == ["a/prefix/a"]


@pytest.mark.parametrize("url", ["s3://", "foo://bar/x", "/no/such/directory", "file:///no/such/directory"])
def test_store_that_is_none_is_told(url: str) -> None:
    with pytest.raises(ObjectsAwayError):
        open_objects(url)


async def test_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    (tmp_path / "a").write_bytes(b"a file")
    with pytest.raises(ObjectsAwayError):
        await objects.put_new("a/b", b"x")
