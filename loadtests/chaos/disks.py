"""Disks that are soon full: small tmpfs mounts (root), and a file that takes the rest."""

import asyncio
import errno
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PIECE = bytes(1024 * 1024)
BALLAST = "ballast"


class DiskError(RuntimeError):
    """A disk could not be made, or not be filled."""


@asynccontextmanager
async def small(sizes_mib: Mapping[Path, int]) -> AsyncIterator[None]:
    """Have a disk of so many MiB at each path to the end of the block."""
    mounted: list[Path] = []
    try:
        for path, size in sizes_mib.items():
            path.mkdir(parents=True, exist_ok=True)
            await _run("mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "tmpfs", str(path))
            mounted.append(path)
        yield
    finally:
        for path in reversed(mounted):
            await _run("umount", "--lazy", str(path))


@asynccontextmanager
async def full(path: Path) -> AsyncIterator[int]:
    """Fill the disk at a path to the end of the block; gives how many bytes that took."""
    ballast = path / BALLAST
    task = asyncio.create_task(_keep_full(ballast))
    try:
        await asyncio.sleep(1.0)
        yield ballast.stat().st_size
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ballast.unlink(missing_ok=True)


async def _keep_full(ballast: Path) -> None:
    """Take what others give back, too."""
    while True:
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(0.2)


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (len(PIECE), 4096):
            with suppress(OSError):
                while True:
                    _write(file, PIECE[:size])


def _write(file: object, piece: bytes) -> None:
    written = file.write(piece)  # type: ignore[attr-defined]
    if written < len(piece):
        raise OSError(errno.ENOSPC, "the disk is full")


async def _run(*command: str) -> None:
    program = shutil.which(command[0]) or command[0]
    process = await asyncio.create_subprocess_exec(program, *command[1:], stdout=PIPE, stderr=PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise DiskError(f"{' '.join(command)}: {said.decode().strip()}")
