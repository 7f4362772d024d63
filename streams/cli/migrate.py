"""`ledger migrate`: topics, tables and partitions of time, brought to what this version needs."""

import asyncio
from dataclasses import asdict

import typer

from ledger.config import Settings
from streams.cli.running import print_json, told_faults
from streams.prepare import prepare


def migrate(json_output: bool = typer.Option(False, "--json", help="Print what was done as JSON.")) -> None:
    """Make missing topics, migrate the books, and make partitions of time ahead. Safe to run again."""
    with told_faults():
        done = asyncio.run(prepare(Settings()))
    if json_output:
        print_json(asdict(done))
        return
    print(f"topics      {', '.join(done.topics_made) or 'all there'}")
    print(f"books       {done.version_before or 'none'} -> {done.version}")
    print(f"partitions  {done.partitions_made} made, {done.partitions_dropped} dropped")
