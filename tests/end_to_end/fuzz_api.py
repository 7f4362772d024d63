"""Fuzz the API of a whole stack with every check: `python -m tests.end_to_end.fuzz_api SECONDS` (make fuzz-api)."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import httpx
import orjson

from loadtests.arguments import count
from tests.end_to_end.command import Ledger
from tests.end_to_end.serving_api import fuzz, life


async def submit(url: str, key: str) -> None:
    """Send a bit of everything, and wait until it is handled: so that there is something to read."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/cloudevents-batch+json",
        "Prefer": "wait=30",
    }
    content = b"[" + b",".join(life()) + b"]"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=40.0) as client:
        answer = await client.post("/v1/events", content=content)
        answer.raise_for_status()
        pending = orjson.loads(answer.content)["pending"]
    if pending:
        raise RuntimeError(f"not handled in time: {pending}")


async def main(seconds: int) -> int:
    """Run it for so long; gives the exit code of schemathesis."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger(
            Path(directory) / "state", {"LEDGER_QUOTA_REQUESTS_S": "0", "LEDGER_QUOTA_EVENTS_S": "0"}
        )
        stack = ledger.report("up", "--detach")
        try:
            await submit(stack["api"], stack["api_key"])
            # A stream never ends, which is what it is for.
            options = ("--exclude-path-regex", "/stream$", "--max-time", str(seconds))
            code, said = await fuzz(stack["api"], stack["api_key"], Path(directory), *options)
            sys.stdout.write(said)
        finally:
            ledger.run("down")
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=count)
    sys.exit(asyncio.run(main(parser.parse_args().seconds)))
