"""What commands share: exit codes, faults told in a sentence, and output for people or programs."""

import json
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from ledger.config import Settings, environment_name
from ledger.observability.crash import CrashSettingError, check_crash_setting
from streams.settings import ADDRESSES, SECRETS

DONE = 0
FOUND_WRONG = 1
USED_WRONGLY = 2
SERVICE_AWAY = 3


@contextmanager
def told_faults(*, objects: str = "archive") -> Iterator[None]:
    """Tell in a sentence what is away, and exit with 3; or which file cannot be used, and exit with 2.

    `objects` names what the store of objects is, if one is talked to.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            # What runs the commands ends without a word then.
            raise
        # It knows the faults of every library, which take a second to import.
        from streams.cli.away import away, file_fault

        if (sentence := file_fault(error)) is not None:
            complain(sentence)
            raise typer.Exit(USED_WRONGLY) from error
        if (sentence := away(error, objects)) is not None:
            complain(sentence)
            raise typer.Exit(SERVICE_AWAY) from error
        raise


def _nobody_reads() -> bool:
    """Tell whether who read standard output through a pipe has gone, as `head` has after its lines."""
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


@contextmanager
def told_settings() -> Iterator[None]:
    """Tell each environment variable that is no valid setting in a sentence, and exit with 2."""
    try:
        check_crash_setting()
        yield
    except CrashSettingError as error:
        complain(str(error))
        raise SystemExit(USED_WRONGLY) from error
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for fault in error.errors(include_url=False):
            complain(_settings_fault(str(fault["loc"][0]), fault["input"], fault["msg"]))
        complain("`ledger doctor --settings` lists the settings with their defaults.")
        raise SystemExit(USED_WRONGLY) from error


def _settings_fault(setting: str, value: object, fault: str) -> str:
    variable, meaning = environment_name(setting), Settings.model_fields[setting].description
    if setting in ADDRESSES | SECRETS:
        # What is wrong may hold a password where nobody would mask it.
        return f"{variable} is not valid. It takes {meaning}."
    fault = fault.removeprefix("Value error, ")
    return f"{variable} is {value!r}: {fault[:1].lower()}{fault[1:]}. It means: {meaning}."


def complain(sentence: str) -> None:
    """Say what is wrong, on standard error."""
    from rich.console import Console

    Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def as_sentence(text: str) -> str:
    """Begin with a capital letter, unless a name begins it: those of topics and places are written as they are."""
    begin, _, _ = text.partition(" ")
    return text[:1].upper() + text[1:] if begin.isalpha() else text


def refuse(sentence: str) -> NoReturn:
    """Say what is wrong with how a command was used, and end it."""
    complain(sentence)
    raise typer.Exit(USED_WRONGLY)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(value, default=str, indent=2), flush=True)
