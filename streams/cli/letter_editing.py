"""Dead letters mended: members set by their paths, or the whole in the editor of whoever does it."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.contract.edit import NotEditableError, remove_member, set_member
from streams.cli.running import as_sentence, complain, refuse

EDITORS = ("VISUAL", "EDITOR")


def with_members(value: bytes, assignments: Sequence[str], removals: Sequence[str]) -> bytes:
    """Set each PATH=VALUE, and take out each path; refuses what cannot be done."""
    try:
        for each in assignments:
            path, found, text = each.partition("=")
            if not found:
                refuse(f"--set {each}: PATH=VALUE sets a member.")
            value = set_member(value, path, text)
        for path in removals:
            value = remove_member(value, path)
    except NotEditableError as error:
        refuse(f"{as_sentence(str(error))}. Without --set and --unset, an editor opens.")
    return value


def in_editor(value: bytes, bytes_max: int) -> bytes:
    """Have it edited until it is an event; refuses where there is no terminal, or nobody goes on."""
    if not _is_terminal():
        refuse("An editor needs a terminal: --set PATH=VALUE sets a member without one.")
    file = _written(value)
    while True:
        _edit(file)
        # Editors end the last line.
        edited = file.read_bytes().removesuffix(b"\n")
        fault = fault_of(edited, bytes_max)
        if fault is None:
            file.unlink()
            return edited
        complain(f"That is no event: {fault}")
        if not typer.confirm("Edit it again?", default=True, err=True):
            refuse(f"Nothing was sent. What was edited is in {file}: --edit of requeue takes it.")


def fault_of(value: bytes, bytes_max: int) -> str | None:
    """Say why these bytes are no event; None: they are one."""
    try:
        decode_event(value, bytes_max=bytes_max)
    except NotAnEventError as error:
        return str(error)
    return None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _written(value: bytes) -> Path:
    number, name = tempfile.mkstemp(prefix="ledger-letter-", suffix=".json")
    with os.fdopen(number, "wb") as file:
        file.write(value)
    return Path(name)


def _edit(file: Path) -> None:
    command = next((found for name in EDITORS if (found := os.environ.get(name))), "vi")
    try:
        done = subprocess.run([*shlex.split(command), str(file)], check=False)
    except OSError as error:
        refuse(f"{command} cannot be run: {error.strerror or error}. EDITOR names another.")
    if done.returncode:
        refuse(f"{command} ended with {done.returncode}: nothing was sent. What was edited is in {file}.")
