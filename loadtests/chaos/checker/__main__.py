"""`python -m loadtests.chaos.checker`: check a ledger that is quiet, and exit with 1 if an invariant is broken."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from loadtests.chaos.checker.options import API_KEYS, Options, Topics
from loadtests.chaos.checker.run import check

GROUPS = (
    "ledger-post=payments",
    "ledger-windows=entries",
    "ledger-payments=outcomes",
    "ledger-chain=outcomes",
)


def parse(arguments: Sequence[str]) -> tuple[Options, bool]:
    """Read the command line; gives the options, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos.checker", description=__doc__)
    _add_servers(parser)
    _add_extent(parser)
    given = parser.parse_args(arguments)
    topics = Topics.named(given.topics_prefix)
    groups = dict(each.split("=", 1) for each in given.group or GROUPS)
    options = Options(
        kafka=given.kafka,
        postgres=given.postgres,
        schema=given.schema,
        topics=topics,
        groups={group: getattr(topics, topic, topic) for group, topic in groups.items()},
        sent=tuple(given.sent),
        api=given.api,
        api_keys=tuple(given.api_key or filter(None, os.environ.get(API_KEYS, "").split(","))),
        reads=tuple(given.reads),
        provider=given.provider,
        provider_name=given.provider_name,
        sample=given.sample,
        chained=given.chained,
        rebuild=given.rebuild,
        after_loss=given.after_loss,
        wait_s=given.wait,
    )
    return options, given.json


def _add_servers(parser: argparse.ArgumentParser) -> None:
    """Add where everything is, and what it is called."""
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT")
    parser.add_argument("--postgres", required=True, metavar="DSN", help="its password may be in PGPASSWORD")
    parser.add_argument("--schema", default="ledger")
    parser.add_argument(
        "--topics-prefix", default="", help="PREFIXpayments, PREFIXoutcomes … instead of the usual"
    )
    parser.add_argument(
        "--group",
        action="append",
        default=None,
        metavar="GROUP=TOPIC",
        help="a group whose lag must be zero, and the topic: payments, outcomes, entries, or a name",
    )


def _add_extent(parser: argparse.ArgumentParser) -> None:
    """Add what is looked at, and how long."""
    parser.add_argument("--sent", action="append", default=[], type=Path, metavar="FILE.jsonl")
    parser.add_argument("--api", metavar="URL")
    parser.add_argument(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY",
        help=f"of each tenant to read as; else {API_KEYS}",
    )
    parser.add_argument("--reads", action="append", default=[], type=Path, metavar="FILE.jsonl")
    parser.add_argument("--provider", metavar="URL", help="where its book is: URL/book/lines")
    parser.add_argument("--provider-name", default="simulated")
    parser.add_argument("--sample", type=int, default=200, help="accounts read through the API")
    parser.add_argument("--chained", action="store_true", help="every transaction must have its link")
    parser.add_argument("--rebuild", action="store_true", help="replay the topic into a schema of its own")
    parser.add_argument(
        "--after-loss", action="store_true", help="a fail-over lost commits, and a replay mended it"
    )
    parser.add_argument("--wait", type=float, default=60.0, metavar="S", help="how long lag may last")
    parser.add_argument("--json", action="store_true")


def _tell(what: str, seconds: float) -> None:
    print(f"{seconds:6.0f} s  {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Check, tell, and exit."""
    options, as_json = parse(sys.argv[1:])
    begun = monotonic()
    report = asyncio.run(check(options, lambda what: _tell(what, monotonic() - begun)))
    print(json.dumps(report.told()) if as_json else "\n".join(report.lines()))
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
