"""The state directory: the ports, secrets, lock and list of processes of an embedded stack."""

import fcntl
import json
import os
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from streams.embedded.errors import AlreadyRunningError, StateDirectoryError

# Below the usual ephemeral range: a port from that range can be taken by any outgoing connection
# while its server restarts, even by a client that connects to itself.
PORTS = range(20_000, 32_000)
FREE_BYTES_MIN = 1024**3


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One supervised process as `ledger status` reports it; `pid` is none while it is down.

    `url` is where it speaks HTTP, if it does.
    """

    name: str
    pid: int | None
    ready: bool
    restarts: int
    created: float | None = None
    url: str | None = None


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor last wrote; `phase` is starting, ready, stopping, stopped or failed."""

    phase: str
    kafka: str | None = None
    postgres: str | None = None
    error: str | None = None
    hint: str | None = None
    processes: tuple[ProcessRecord, ...] = ()

    def url(self, name: str) -> str | None:
        """Where a process speaks HTTP; none if there is no such process, or it does not."""
        return next((process.url for process in self.processes if process.name == name), None)


class StateDirectory:
    """Paths below one directory, and the small files in it; every write is atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.kafka = self.path / "kafka"
        self.postgres = self.path / "postgres"
        self.logs = self.path / "logs"
        self._lock_file = self.path / "stack.lock"

    def __str__(self) -> str:
        return str(self.path)

    def make(self) -> None:
        """Make the directory and check that there is room; raises StateDirectoryError."""
        try:
            for path in (self.path, self.kafka, self.postgres, self.logs):
                path.mkdir(parents=True, exist_ok=True)
            write_private(self.path / ".gitignore", "*\n")
        except OSError as error:
            raise unusable(self.path, error) from error
        self._check_room()

    def port(self, name: str) -> int:
        """The port kept for `name`; chosen when there is none, or when somebody else has taken it."""
        ports = read_json(self.path / "ports.json")
        if not is_free(int(ports.get(name, 0))):
            ports[name] = free_port(set(ports.values()))
            write_private(self.path / "ports.json", json.dumps(ports))
        return int(ports[name])

    def secret(self, name: str, make: Callable[[], str] = secrets.token_urlsafe) -> str:
        """A random secret kept under `name`, readable by its owner only; made once."""
        known = read_json(self.path / "secrets.json")
        if name not in known:
            known[name] = make()
            write_private(self.path / "secrets.json", json.dumps(known))
        return str(known[name])

    def kept_secret(self, name: str) -> str | None:
        """The secret that `secret` keeps under `name`, if it was made."""
        known = read_json(self.path / "secrets.json").get(name)
        return None if known is None else str(known)

    def log(self, name: str) -> Path:
        """The file that takes what the process `name` prints."""
        return self.logs / f"{name}.log"

    def read(self) -> StackRecord:
        """What the supervisor last wrote; `stopped` when there is nothing to read."""
        try:
            return msgspec.json.decode((self.path / "stack.json").read_bytes(), type=StackRecord)
        except (OSError, msgspec.DecodeError):
            return StackRecord(phase="stopped")

    def write(self, record: StackRecord) -> None:
        """Replace what `read` gives."""
        write_private(self.path / "stack.json", msgspec.json.encode(record).decode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one supervisor of this directory; the kernel lets go when the process dies.

        Raises AlreadyRunningError.
        """
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(self.path, error) from error
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def supervisor(self) -> int | None:
        """The living supervisor's pid, or none; raises StateDirectoryError when it cannot be told.

        A stale file cannot mislead: only the living have locks, and the pid must have this very file open.
        """
        for _ in range(50):
            pid = self._locker()
            if pid is None or _has_open(pid, self._lock_file):
                return pid
            time.sleep(0.02)
        raise StateDirectoryError(
            f"A process that cannot be seen from here uses {self.path}.",
            "Stop it where it runs, in another container perhaps, or set LEDGER_STATE_DIR.",
        )

    def _locker(self) -> int | None:
        with suppress(OSError), self._lock_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
        return None

    def _take(self, descriptor: int) -> None:
        # A reader in `supervisor` may have the lock for an instant, so one refusal says nothing.
        for _ in range(20):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.01)
        raise AlreadyRunningError(f"A stack already runs on {self.path}.", "Stop it with `ledger down`.")

    def _check_room(self) -> None:
        free_bytes = shutil.disk_usage(self.path).free
        if free_bytes < FREE_BYTES_MIN:
            raise StateDirectoryError(
                f"The disk of {self.path} has {free_bytes // 1024**2} MiB free; the stack needs 1024 MiB.",
                "Free some room, or set LEDGER_STATE_DIR to a directory on another disk.",
            )


def _has_open(pid: int, path: Path) -> bool:
    with suppress(psutil.Error, OSError):
        return any(Path(file.path) == path.resolve() for file in psutil.Process(pid).open_files())
    return False


def unusable(path: Path, error: OSError) -> StateDirectoryError:
    """The error for a state directory on which `error` happened."""
    return StateDirectoryError(
        f"The state directory {path} cannot be used: {error.strerror or error}.",
        "Set LEDGER_STATE_DIR to a directory that can be written.",
    )


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; only its owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    fresh.write_text(text)
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when the file is missing or broken."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, Mapping):
            return dict(content)
    return {}


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return port > 0


def free_port(taken: set[int]) -> int:
    """A random free port that is not in `taken`."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if port not in taken and is_free(port):
            return port
    taken_range = f"{PORTS.start} to {PORTS.stop - 1}"
    raise StateDirectoryError(f"No port from {taken_range} is free.", "End some servers.")
