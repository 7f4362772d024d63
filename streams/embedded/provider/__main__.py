"""`python -m streams.embedded.provider --port PORT --book FILE`: run the provider until a signal ends it.

PROVIDER_SECRETS in the environment holds the active secrets, parted by commas; the first signs webhooks.
When it takes calls it prints one line of JSON with its port.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ledger.contract.signature import SECRET_BYTES_MIN
from streams.embedded.provider.server import provider_app

SECRETS = "PROVIDER_SECRETS"
STOP_TIMEOUT_S = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; exit code 2 without secrets."""
    given = parser().parse_args(arguments)
    secrets = [each.encode() for each in os.environ.get(SECRETS, "").split(",") if each]
    if not secrets or any(len(each) < SECRET_BYTES_MIN for each in secrets):
        sys.stderr.write(f"{SECRETS} has to hold secrets of at least {SECRET_BYTES_MIN} bytes.\n")
        sys.exit(2)
    asyncio.run(serve(provider_app(given.book, secrets, given.webhooks), given.host, given.port))


async def serve(app: web.Application, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    # A caller who has gone ends what was still to be said to it, so that hanging calls do not pile up.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_TIMEOUT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
        sys.stdout.flush()
        await asked.wait()
    finally:
        await runner.cleanup()


def parser() -> argparse.ArgumentParser:
    """Make what reads its arguments."""
    given = argparse.ArgumentParser(prog="provider", description="A payment provider to test with.")
    given.add_argument("--host", default="127.0.0.1")
    given.add_argument("--port", type=int, default=0, help="0: any free one")
    given.add_argument("--book", type=Path, required=True, help="the SQLite file of what it moved")
    given.add_argument("--webhooks", metavar="URL", help="where webhooks go to if a script does not say")
    return given


if __name__ == "__main__":
    main()
