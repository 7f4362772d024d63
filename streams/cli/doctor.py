"""`ledger doctor`: what is wrong with the set-up, and what to do."""

import asyncio
import logging
import os
from dataclasses import asdict
from textwrap import fill
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.config import Settings
from streams.cli.running import DONE, FOUND_WRONG, SERVICE_AWAY, print_json
from streams.doctor.examine import examine
from streams.doctor.finding import Finding, Level, any_at
from streams.embedded.errors import EmbeddedError
from streams.embedded.state import StateDirectory
from streams.settings import SettingShown, Source, shown_settings

_STYLES = {
    Level.FINE: "green",
    Level.INFORMATION: "cyan",
    Level.WARNING: "yellow",
    Level.WRONG: "red",
    Level.AWAY: "red",
}


def doctor(
    settings_only: bool = typer.Option(
        False, "--settings", help="List every setting with its default, value and source instead."
    ),
    json_output: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Look for what is wrong with the set-up. Exit 1 if something is, 3 if a service is away."""
    settings = Settings()
    if settings_only:
        shown = list(shown_settings(settings, os.environ, _stack(settings)))
        _print_settings(shown, json_output)
        return
    # What the client tells while it tries is in the finding.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    findings = asyncio.run(examine(settings, os.environ))
    code = _exit_code(findings)
    if json_output:
        print_json({"ok": code == DONE, "findings": [_facts(finding) for finding in findings]})
    else:
        _print_findings(findings)
    raise typer.Exit(code)


def _stack(settings: Settings) -> dict[str, str | None]:
    """The addresses that a running stack stands in with."""
    state = StateDirectory(settings.state_dir)
    try:
        running = state.supervisor() is not None
    except EmbeddedError:
        running = False
    if not running:
        return {}
    record = state.read()
    return {"kafka_bootstrap": record.kafka, "postgres_dsn": record.postgres}


def _exit_code(findings: list[Finding]) -> int:
    if any_at(Level.AWAY, findings):
        return SERVICE_AWAY
    return FOUND_WRONG if any_at(Level.WRONG, findings) else DONE


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "ok": finding.ok,
        "level": finding.level,
        "detail": finding.detail,
        "remedy": finding.remedy,
    }


def _print_findings(findings: list[Finding]) -> None:
    table = Table("what", "how", "found, and what to do")
    for finding in findings:
        text = Text(finding.detail)
        if finding.remedy:
            text.append(f"\n{finding.remedy}", style="bold")
        table.add_row(finding.name, Text(finding.level, style=_STYLES[finding.level]), text)
    Console().print(table)


def _print_settings(settings: list[SettingShown], json_output: bool) -> None:
    if json_output:
        print_json([asdict(setting) for setting in settings])
        return
    table = Table("setting", "value", "default")
    width = max(len(each.name) for each in settings)
    # Wrapped here, so that the column keeps the width of the longest name.
    table.columns[0].no_wrap = True
    for each in settings:
        name = Text(each.name, style="bold")
        name.append("\n" + fill(each.description, width), style="not bold")
        value = Text(_said(each.value), overflow="fold")
        if each.source is not Source.DEFAULT:
            value.append(f"\n({each.source})", style="dim")
        table.add_row(name, value, Text(_said(each.default), overflow="fold"))
    Console().print(table)


def _said(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
