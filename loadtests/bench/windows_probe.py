"""How long after it was due an entry is seen in the windows: asked of the windows workers themselves."""

import asyncio
import time
from collections.abc import Callable, Sequence

import aiohttp
import msgspec

from ledger.adapters.workers.wire import BALANCE_PATH
from ledger.application.stream_reading import StreamBalance
from loadtests.bench.latencies import Latencies
from loadtests.bench.orders import Probe

PATIENCE_S = 60.0
ASKED_S_MIN, ASKED_S_MAX = 0.002, 0.05
RESOLUTION = 0.1
"""How much later than it is so it may be seen that an entry is in the windows, as a share of the latency."""

WRONG_WORKER = 421


class WindowsProber:
    """Looks for entries in the windows, each from its outcome on; each is looked for by itself."""

    def __init__(
        self, urls: Sequence[str], token: str, since_s: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._urls = urls
        self._headers = {"authorization": f"Bearer {token}"}
        self._since_s = since_s
        self._clock = clock
        self._looking: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self.latencies = Latencies()
        self.missing = 0

    def look(self, probe: Probe, start: float) -> None:
        """Begin to look for an entry, which was due `probe.due_s` after `start`; not if that is before `since_s`."""
        if probe.due_s < self._since_s:
            return
        task = asyncio.create_task(self._look(probe, start + probe.due_s))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def close(self) -> None:
        """Wait for all that are looked for, and disconnect."""
        try:
            await asyncio.gather(*self._looking)
        finally:
            for task in self._looking:
                task.cancel()
            if self._http is not None:
                await self._http.close()

    async def _look(self, probe: Probe, due: float) -> None:
        begun = self._clock()
        while not await self._is_there(probe):
            now = self._clock()
            if now - begun > PATIENCE_S:
                self.missing += 1
                return
            await asyncio.sleep(min(max((now - due) * RESOLUTION, ASKED_S_MIN), ASKED_S_MAX))
        self.latencies.add((self._clock() - due) * 1e6)

    async def _is_there(self, probe: Probe) -> bool:
        asked = {"tenant": probe.tenant, "account": probe.account, "asset": probe.asset}
        for url in self._urls:
            async with self._session().get(url + BALANCE_PATH, params=asked, headers=self._headers) as answer:
                body = await answer.read()
                if answer.status == 200:
                    return _has(body, probe.version)
                if answer.status not in (WRONG_WORKER, 503):
                    raise RuntimeError(f"the windows worker at {url} answers {answer.status}")
        return False

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return self._http


def _has(body: bytes, version: int) -> bool:
    life = msgspec.json.decode(body, type=StreamBalance).life
    return life is not None and life.first_version <= version <= life.last_version
