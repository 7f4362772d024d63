"""Recipes: the runbook, and pages of docs/recipes, whose commands are run, and whose output is kept.

`python -m tests.recipes` (or `make recipes`) runs them on a stack of its own and writes the output anew; with names
of pages, only those.
A block of `console` holds commands after `$ `, going on after `> `, each followed by what it printed. A block whose
first line names a file besides its language is written to that file before any command is run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from tests.architecture.tree import ROOT
from tests.end_to_end.command import Ledger

# The runbook comes last: it breaks things.
PAGES = [
    *sorted((ROOT / "docs" / "recipes").glob("*.md")),
    *(ROOT / "docs" / f"{name}.md" for name in ("client", "tutorial", "runbook")),
]
TIMEOUT_S = 180
OPTIONAL_TOOLS = ("kcat",)

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```\w+ (?P<name>[\w.-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r'("age_ms": ?)\d+'), r"\1N"),
    (re.compile(r'("(?:next_)?cursor": ?)"[^"]*"'), r"\1CURSOR"),
    (re.compile(r'("correlation_id": ?)"[0-9a-f]{16}"'), r"\1CORRELATION"),
    (re.compile(r"\bpayments/\d+(/\d+)?"), "PLACE"),
    (re.compile(r"\b(partition|offset) \d+\b"), r"\1 N"),
    (re.compile(r"\b\d+ events? posted and \d+ refused"), "N events posted and N refused"),
    (re.compile(r"\bfrom \d+ to before \d+"), "from N to before N"),
    (re.compile(r"\bstand at \d+, the group at \d+"), "stand at N, the group at N"),
    (re.compile(r"\b[\d.]+ s, [\d,]+ a second"), "N s, N a second"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\blk_\w{16}_[\w-]+"), "KEY"),
)


class Step(NamedTuple):
    """One command, and what it printed."""

    command: str
    output: str


def steps_of(page: str) -> list[Step]:
    """Read the commands of a page; those of a tool that this machine does not have are left out."""
    steps = [step for block in _BLOCK.findall(page) for step in _steps_of_block(block)]
    absent = [tool for tool in OPTIONAL_TOOLS if shutil.which(tool) is None]
    return [step for step in steps if not any(tool in step.command for tool in absent)]


def _steps_of_block(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        first, *lines = part.splitlines()
        more = list(takewhile(lambda line: line.startswith("> "), lines))
        command = "\n".join([first, *(line[2:] for line in more)])
        yield Step(command, "\n".join(lines[len(more) :]))


def files_of(page: str) -> dict[str, str]:
    """Read the files that a page has its reader write, by name."""
    return {found["name"]: found["text"] for found in _FILE.finditer(page)}


def run(
    steps: list[Step], environment: Mapping[str, str], files: Mapping[str, str] | None = None
) -> list[Step]:
    """Run the commands of a page in one shell, beside its files, and give what each printed."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (files or {}).items():
            Path(directory, name).write_text(text, encoding="utf-8")
        lines = [f"{{ {step.command}\n}} > {directory}/{number} 2>&1" for number, step in enumerate(steps)]
        subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            env={**environment},
            cwd=directory,
            timeout=TIMEOUT_S,
            check=False,
        )
        return [
            Step(step.command, Path(directory, str(number)).read_text().rstrip("\n"))
            for number, step in enumerate(steps)
        ]


def masked(output: str) -> str:
    """The output without what differs from run to run."""
    for pattern, name in _VOLATILE:
        output = pattern.sub(name, output)
    return output.strip()


def with_output(page: str, steps: list[Step]) -> str:
    """The page with other output under its commands; where nothing but the volatile differs, it stays."""
    fresh = deque(steps)

    def new_of(old: Step) -> Step:
        return fresh.popleft() if fresh and fresh[0].command == old.command else old

    def block(found: re.Match[str]) -> str:
        kept = list(_steps_of_block(found.group(1)))
        return f"```console\n{''.join(_written(old, new_of(old)) for old in kept)}```"

    return _BLOCK.sub(block, page)


def _written(old: Step, new: Step) -> str:
    output = old.output if masked(old.output) == masked(new.output) else new.output
    prompted = "$ " + old.command.replace("\n", "\n> ")
    return f"{prompted}\n{output}\n" if output else f"{prompted}\n"


def environment_of(ledger: Ledger) -> dict[str, str]:
    """What the shell of a recipe knows: `ledger` on its path, the addresses of the stack, and a key."""
    found = ledger.report("up", "--detach")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **ledger.environment(),
        "PATH": path,
        "API": found["api"],
        "KEY": found["api_key"],
        "DSN": found["postgres"],
        "KAFKA": found["kafka"],
    }


def main() -> None:
    """Write the output of every page anew, or of those named."""
    pages = [page for page in PAGES if page.stem in sys.argv[1:] or not sys.argv[1:]]
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger(Path(directory) / "state")
        try:
            environment = environment_of(ledger)
            for page in pages:
                text = page.read_text(encoding="utf-8")
                done = run(steps_of(text), environment, files_of(text))
                page.write_text(with_output(text, done), encoding="utf-8")
        finally:
            ledger.run("down")
    sys.stdout.write(json.dumps([page.name for page in pages]) + "\n")


if __name__ == "__main__":
    main()
