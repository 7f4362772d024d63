"""A directory for what a worker keeps, its own for as long as it runs, and found again when it starts again."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS_MAX = 64


@contextmanager
def own_directory(parent: Path, name: str) -> Iterator[Path]:
    """Take the first directory `name-N` that no running process has; a process that dies gives it back."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(WORKERS_MAX):
        path = parent / f"{name}-{number}"
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            path.mkdir(exist_ok=True)
            yield path
        finally:
            os.close(lock)
        return
    raise RuntimeError(f"{WORKERS_MAX} workers have a directory under {parent}, and more may not")
