"""What the command line may say: numbers that can be measured with, settings that there are, folders to write to."""

import argparse
import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ledger.config import Settings


class UsageError(ValueError):
    """What was given cannot be done; the message says what, and why."""


def count(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def from_one(text: str) -> float:
    """Read a number from 1 on."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return value


def settings_of(given: Sequence[str], owned: Collection[str] = ()) -> Mapping[str, str]:
    """Read NAME=VALUE of each; UsageError if one is none, names no setting, or has a value that it cannot have.

    Those of `owned` are not for the caller to set: servers, names and numbers that a run makes for itself.
    """
    pairs = dict(_setting(each) for each in given)
    for name in pairs:
        if name in owned:
            raise UsageError(f"--set {name}={pairs[name]}: a run sets this by itself")
    try:
        Settings.model_validate(pairs)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(map(str, wrong["loc"]))
        raise UsageError(f"--set {name}={pairs.get(name, '')}: {wrong['msg']}") from error
    return pairs


def _setting(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign:
        raise UsageError(f"--set {given}: it takes NAME=VALUE, as batch_records_max=2000")
    if name not in Settings.model_fields:
        raise UsageError(f"--set {given}: there is no setting {name!r}; docs/operations.md names them")
    return name, value


def check_folder(folder: Path) -> None:
    """Make a folder and write to it, before anything is measured; UsageError if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"nothing can be written into {folder}: {error.strerror}") from error
