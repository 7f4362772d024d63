"""What the documents say is true: links, commands, settings, targets, examples, lists."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main

from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetterReason
from ledger.contract.decode import decode_event
from ledger.contract.event_types import COMMANDS
from ledger.domain.rejection import Reason
from ledger.observability.crash import POINTS
from streams.cli import app
from streams.demo.bank_csv import BankHistory
from tests.architecture.counted import registries
from tests.architecture.tree import PRODUCT, ROOT, blocks, modules, pages, prose, shown
from tests.builders import NOW

EVENTS, OPERATIONS, DEMO = (ROOT / "docs" / f"{name}.md" for name in ("events", "operations", "demo"))
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
SHELL = ("sh", "console")

# Read where it is needed, before any settings are: see ledger/observability/crash.py.
OTHER_VARIABLES = {"LEDGER_CRASH"}

each_page = pytest.mark.parametrize("page", pages(), ids=shown)


# Links


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in target:
            yield target


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if is_broken(page, link)] == []


def test_every_page_is_linked_from_another() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in pages() for link in links(page)}
    assert [shown(page) for page in pages() if page not in linked and page.name != "README.md"] == []


# Commands


def commands_named(page: Path) -> Iterator[list[str]]:
    """Give the words after each `ledger`, in shells and between backticks."""
    shells = [line for block in blocks(page, *SHELL) for line in block.splitlines()]
    spans = re.findall(r"`((?:\.venv/bin/)?ledger [^`]+)`", prose(page))
    for text in (*shells, *spans):
        for found in re.findall(r"(?:^|[ |/])ledger (?=[a-z])([^|#]+)", text):
            yield found.split()


def commands_of(command: Any) -> dict[str, Any]:
    """Give the commands of a group; none of anything else."""
    inner: dict[str, Any] = getattr(command, "commands", {})
    return inner


def fault_of(words: list[str]) -> str | None:
    """Follow subcommands, then look at the options; say what does not exist."""
    command: Any = typer.main.get_command(app)
    while (inner := commands_of(command)) and words:
        name, *words = words
        if name not in inner:
            return f"no command {name}"
        command = inner[name]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"{command.name} has no {unknown}" if unknown and "--help" not in unknown else None


@each_page
def test_every_command_exists(page: Path) -> None:
    assert [fault for words in commands_named(page) if (fault := fault_of(words))] == []


def test_the_readme_tells_every_command() -> None:
    told = {words[0] for words in commands_named(ROOT / "README.md")}
    assert commands_of(typer.main.get_command(app)).keys() - told == set()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_page
def test_every_make_target_exists(page: Path) -> None:
    shells = [line for block in blocks(page, *SHELL) for line in block.splitlines()]
    spans = re.findall(r"`([^`]+)`", prose(page))
    named = {name for text in (*shells, *spans) for name in re.findall(r"(?:^|\s)make ([a-z-]+)", text)}
    assert named - make_targets() == set()


# Settings, metrics, signals


def variables() -> set[str]:
    return {f"LEDGER_{name.upper()}" for name in Settings.model_fields}


@each_page
def test_every_setting_exists(page: Path) -> None:
    named = set(re.findall(r"\bLEDGER_[A-Z0-9_]+", page.read_text(encoding="utf-8")))
    assert named - variables() - OTHER_VARIABLES == set()


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(LEDGER_\w+)` \| (.*?) \| (.*) \|$", OPERATIONS.read_text(), re.MULTILINE)
    expected = [
        (
            f"LEDGER_{name.upper()}",
            "" if field.default is None else f"`{field.default}`",
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]
    assert [(name, default.strip(), text) for name, default, text in rows] == expected


def metric_names() -> set[str]:
    families = [family for registry in registries() for family in registry.collect()]
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    return {name for name in names if name.startswith("ledger_")}


def test_operations_list_every_metric_and_no_other() -> None:
    listed = re.findall(r"^\| `(ledger_\w+)` \|", OPERATIONS.read_text(), re.MULTILINE)
    assert set(listed) - {"ledger_worker", "ledger_api"} == metric_names()


def test_operations_name_every_crash_point() -> None:
    met = {
        name
        for path in modules(*PRODUCT)
        for name in re.findall(r'\bcrash_point\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }
    listed = set(re.findall(r"^\| `(\w+)` \|", section(OPERATIONS, "Crash points"), re.MULTILINE))
    assert listed == met == set(POINTS)


# What a worker says of itself; the stack's own signals go to the person who started it.
WORKER_CODE = ("ledger", "streams/agents", "streams/transport", "streams/windows")
WORKER_FILES = (
    "streams/app.py",
    "streams/archiving.py",
    "streams/advancing.py",
    "streams/rolling.py",
    "streams/publishing.py",
    "streams/cli/worker.py",
    "streams/cli/api.py",
)


def signal_names() -> set[str]:
    paths = (*modules(*WORKER_CODE), *(ROOT / name for name in WORKER_FILES))
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    return set(re.findall(r'emit\(\s*"([a-z_.]+)"', text)) | {"chunk.below", "chunk.stale"}


def test_operations_list_every_signal_and_no_other() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| \w+ \|", section(OPERATIONS, "Logs"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == signal_names()


# Events


def section(page: Path, heading: str) -> str:
    """Give what stands under a heading, up to the next of its level."""
    found = re.search(
        rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return found[1] if found else ""


def listed_in(heading: str) -> list[str]:
    """Give the names in the first column of the table under a heading of the events."""
    return re.findall(r"^\| `([\w.]+)` \|", section(EVENTS, heading), re.MULTILINE)


def examples() -> list[dict[str, Any]]:
    return [json.loads(block) for page in pages() for block in blocks(page, "json")]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["type"])
def test_every_example_is_what_it_says(example: dict[str, Any]) -> None:
    if example["type"] in COMMANDS:
        assert decode_event(json.dumps(example).encode()).type == example["type"]
    else:
        schema = json.loads((ROOT / "docs" / "schemas" / f"{example['type']}.json").read_text())
        jsonschema.validate(example, schema)


def test_there_is_an_example_of_every_type() -> None:
    assert COMMANDS.keys() - {example["type"] for example in examples()} == set()


def test_events_in_the_shell_decode_when_they_are_filled_in() -> None:
    filling = {"specversion": "1.0", "id": "01a1fd8c-6900-77dc-a235-639215ca5234", "source": "docs"}
    given = [
        json.loads(found)
        for page in pages()
        for block in blocks(page, *SHELL)
        for found in re.findall(r"echo '(?:[^'{|]*\|)?(\{.*?\})'", block)
    ]
    decoded = [decode_event(json.dumps(event | filling).encode()).type for event in given]
    assert sorted(decoded) == ["payment.request.v1", *["transfer.post.v1"] * 3]


def test_reasons_are_listed_in_the_order_of_the_ladder() -> None:
    assert listed_in("Reasons") == [reason.value for reason in Reason]


def test_reasons_of_dead_letters_are_listed_in_their_order() -> None:
    assert sorted(listed_in("Dead letters")) == sorted(reason.value for reason in DeadLetterReason)


def test_the_example_of_bank_history_can_be_read(tmp_path: Path) -> None:
    (example,) = blocks(DEMO, "csv")
    path = tmp_path / "history.csv"
    path.write_text(example)
    history = BankHistory(path, copies=2, clock=lambda: NOW)
    assert len(list(history.payments())) == 2 * len(history.rows) == 2 * (len(example.splitlines()) - 1)
    assert history.exact_balances() == {"customer:A1": 73850, "customer:B7": 50000}


def test_every_column_of_bank_history_is_told() -> None:
    (example,) = blocks(DEMO, "csv")
    columns = next(csv.reader(io.StringIO(example)))
    told = re.findall(r"^\| `(\w+)` \| (?:required|optional)", DEMO.read_text(), re.MULTILINE)
    assert told == columns or set(told) == set(columns)


# Decisions


@pytest.mark.parametrize("page", ADRS, ids=shown)
def test_a_decision_tells_what_was_rejected(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["Context", "Decision", "Rejected", "Consequences"]


@pytest.mark.parametrize("page", ADRS, ids=shown)
def test_a_decision_is_numbered_as_its_file(page: Path) -> None:
    assert page.read_text().startswith(f"# {int(page.name[:4])} ")


def test_the_runbook_tells_of_everything_that_the_doctor_names() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in modules("streams/doctor"))
    named = set(re.findall(r'\b(?:fine|judged|Finding)\(\s*"([a-z_]+)"', text))
    table = section(ROOT / "docs" / "runbook.md", "What the doctor says")
    told = [
        name
        for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(told) == sorted(named)
