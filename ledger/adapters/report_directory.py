"""Reports in a directory of this machine."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ledger.application.reports import ReportFile
from ledger.config import Settings

KINDS = (".json", ".html", ".txt", ".md")
DEPTH_MAX = 2
FILES_MAX = 500
BYTES_MAX = 4 * 1024 * 1024


class ReportDirectory:
    """Reports; the directory, and those in it, are looked through one level deep."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path | None:
        """Where they are; None: nowhere."""
        return self._directory

    async def files(self) -> Sequence[ReportFile]:
        return await asyncio.to_thread(self._files)

    async def read(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._read, name)

    def write(self, name: str, content: bytes) -> None:
        """Put a report in place of the one of that name, whole or not at all; raises OSError."""
        if self._directory is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        written = self._directory / f".{name}.{os.getpid()}"
        written.write_bytes(content)
        written.replace(self._directory / name)

    def _files(self) -> list[ReportFile]:
        found = sorted(self._found(), key=lambda each: each.at, reverse=True)
        return found[:FILES_MAX]

    def _found(self) -> Iterator[ReportFile]:
        for path in self._paths():
            told = path.stat()
            at = datetime.fromtimestamp(told.st_mtime, UTC)
            yield ReportFile(self._name(path), told.st_size, at)

    def _paths(self) -> Iterator[Path]:
        if self._directory is None or not self._directory.is_dir():
            return
        for pattern in ("*", "*/*"):
            for path in self._directory.glob(pattern):
                if _is_report(path) and not path.parent.name.startswith("."):
                    yield path

    def _name(self, path: Path) -> str:
        return path.relative_to(self._directory or path).as_posix()

    def _read(self, name: str) -> bytes | None:
        """Read one that is listed: a name leads nowhere else, whatever is in it."""
        parts = name.split("/")
        if self._directory is None or len(parts) > DEPTH_MAX or any(each.startswith(".") for each in parts):
            return None
        path = self._directory.joinpath(*parts)
        if not _is_report(path) or not path.resolve().is_relative_to(self._directory.resolve()):
            return None
        return path.read_bytes() if path.stat().st_size <= BYTES_MAX else None


def _is_report(path: Path) -> bool:
    return path.suffix in KINDS and not path.name.startswith(".") and path.is_file()


def reports_of(settings: Settings) -> ReportDirectory:
    """Give the directory that is set, else that of the state directory, where there is one."""
    chosen = settings.reports_dir
    if chosen is None and settings.state_dir.is_dir():
        chosen = settings.state_dir / "reports"
    return ReportDirectory(chosen)
