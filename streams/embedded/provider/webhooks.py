"""Webhooks of the provider: signed, told again until they are taken, in any order."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ledger.contract.signature import WEBHOOK, sign
from streams.embedded.provider.book import Line

WAITING_MAX = 10_000
AT_A_TIME = 64
ATTEMPTS_MAX = 8
TIMEOUT_S = 5.0
BACKOFF_S, BACKOFF_S_MAX = 0.2, 5.0


def webhook_body(line: Line) -> bytes:
    """Write what became of a line. The id is the same in every copy."""
    said = {"reference": line.named} if line.state == "accepted" else {"reason": line.reason}
    body = {
        "id": f"wh_{line.named}",
        "key": line.key,
        "payment": line.payment,
        "tenant": line.tenant,
        "kind": line.kind,
        "state": line.state,
        "amount": line.amount,
        "asset": line.asset,
        **said,
    }
    return json.dumps(body).encode()


class WebhookSender:
    """Sends in the background. What a crash leaves unsent is lost, as webhooks can be."""

    def __init__(self, session: aiohttp.ClientSession, secret: bytes) -> None:
        self._session = session
        self._secret = secret
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_A_TIME)
        self.counts: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def opened(cls, secret: bytes) -> "AsyncIterator[WebhookSender]":
        """Send with the secret; leaving gives up what was not sent."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            sender = cls(session, secret)
            try:
                yield sender
            finally:
                await sender.give_up()

    def send_later(self, url: str, line: Line, wait_s: float) -> None:
        """Tell of a line after a while; dropped, and counted, where too many wait."""
        if len(self._tasks) >= WAITING_MAX:
            self.counts["dropped"] += 1
            return
        task = asyncio.create_task(self._tell(url, line, wait_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send(self, url: str, line: Line) -> bool:
        """Tell of a line now, once; whether it was taken."""
        body = webhook_body(line)
        headers = sign(self._secret, WEBHOOK, body, now_s=int(time.time()))
        headers["Content-Type"] = "application/json"
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                taken = answer.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError):
            taken = False
        self.counts["taken" if taken else "not taken"] += 1
        return taken

    async def give_up(self) -> None:
        """Stop sending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, url: str, line: Line, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        for attempt in range(ATTEMPTS_MAX):
            async with self._free:
                if await self.send(url, line):
                    return
            await asyncio.sleep(min(BACKOFF_S * 2**attempt, BACKOFF_S_MAX))
        self.counts["given up"] += 1
