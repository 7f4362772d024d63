"""Fairness: what a quiet tenant feels while another sends far more than its share.

`python -m loadtests.noisy_tenant URL QUIET_KEY NOISY_KEY [--rate 50] [--times 50] [--seconds 10]`; prints JSON. Run
the API with `LEDGER_QUOTA_REQUESTS_S` at the share of a tenant. Both read strong balances; the quiet one's requests
are sent on time, whether the last was answered or not, so that waiting counts.
"""

import argparse
import asyncio
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import quantiles
from time import perf_counter
from typing import Any

import aiohttp

PATH = "/v1/accounts/external:bank/balance?asset=USD/2"
CONNECTIONS = 64
STARTING_S = 1.0


class Tenant:
    """Sends at a rate, open loop, and notes how long each answer took."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url + PATH
        self._headers = {"Authorization": f"Bearer {key}"}
        self.took_ms: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.unsent = 0

    async def send(self, rate: float, seconds: float) -> None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        running: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(headers=self._headers, connector=connector) as session:
            begun, count = perf_counter(), 0
            while (now := perf_counter() - begun) < seconds:
                while count < now * rate:
                    count += 1
                    if len(running) >= CONNECTIONS:
                        self.unsent += 1
                        continue
                    task = asyncio.create_task(self._ask(session))
                    running.add(task)
                    task.add_done_callback(running.discard)
                await asyncio.sleep(0.002)
            await asyncio.gather(*running)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        begun = perf_counter()
        async with session.get(self._url) as answer:
            await answer.read()
        self.took_ms.append((perf_counter() - begun) * 1000)
        self.statuses[answer.status] += 1

    def report(self) -> dict[str, Any]:
        cuts = quantiles(self.took_ms, n=100)
        return {
            "answers": dict(self.statuses),
            "p50_ms": round(cuts[49], 1),
            "p99_ms": round(cuts[98], 1),
            "not_sent": self.unsent,
        }


async def measure(url: str, quiet_key: str, noisy_key: str, rate: float, times: float, seconds: float) -> Any:
    alone = Tenant(url, quiet_key)
    await alone.send(rate, seconds)
    # In a process of its own: what it costs to send so much must not show as waiting of the quiet one.
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        noise = asyncio.get_running_loop().run_in_executor(
            processes, make_noise, url, noisy_key, rate * times, seconds + STARTING_S
        )
        await asyncio.sleep(STARTING_S)
        beside = Tenant(url, quiet_key)
        await beside.send(rate, seconds)
        noisy = await noise
    return {"alone": alone.report(), "beside": beside.report(), "noisy": noisy}


def make_noise(url: str, key: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send at a rate, and report."""
    tenant = Tenant(url, key)
    asyncio.run(tenant.send(rate, seconds))
    return tenant.report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("quiet_key")
    parser.add_argument("noisy_key")
    parser.add_argument("--rate", type=float, default=50, help="requests a second of the quiet tenant")
    parser.add_argument("--times", type=float, default=50, help="how many times that the noisy one sends")
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    found = asyncio.run(
        measure(given.url, given.quiet_key, given.noisy_key, given.rate, given.times, given.seconds)
    )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
