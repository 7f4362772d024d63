"""What a command asks of a person; a program is told what to give instead."""

import getpass
import os
import sys

import typer

from streams.cli.running import refuse


def asked(question: str, otherwise: str) -> str:
    """Ask a person; a program is told what to give instead."""
    if not sys.stdin.isatty():
        refuse(otherwise)
    return str(typer.prompt(question, err=True))


def confirm(what: str) -> None:
    """Go on only if a person says so; a program is asked for --yes."""
    if not sys.stdin.isatty():
        refuse(f"{what} Repeat it with --yes to do that.")
    typer.confirm(f"{what} Go on?", abort=True, err=True)


def user_name() -> str:
    """Who does it: the name of the operating system's user, or its number where it has no name."""
    try:
        return getpass.getuser().encode("utf-8", "replace").decode()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
