"""Reads through the API all the while: what was seen never goes back, sums stay, and what is old says so."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import aiohttp
import orjson

from loadtests.chaos.results import Checked
from loadtests.chaos.traffic import BANK_ACCOUNTS, BANK_ASSET, BANK_FUNDS, BANK_TENANT

EVERY_S = 0.1
ANSWER_S = 5.0
CACHED_S_MAX = 8.0
"""A cached balance is at most so old: its time of five seconds, and what reading takes."""

FINDINGS_MAX = 50
TOTAL = BANK_ACCOUNTS * BANK_FUNDS


def reads_in(directory: Path) -> Path:
    """Where the reads of a scene are, a line of JSON each, as the checker takes them."""
    return directory / "reads.jsonl"


class Reader:
    """Reads the bank's accounts, writes down what it was told, and keeps what no reader may see."""

    def __init__(self, url: str, key: str, http: aiohttp.ClientSession, seed: int, written: Path) -> None:
        self._written = written.open("wb")
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._http = http
        self._random = Random(f"reads {seed}")
        self._newest: dict[str, int] = {}
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._forgotten = 0
        self._checked = 0
        self._unanswered = 0
        self._findings: list[Any] = []
        self._looks = (self._strong, self._strong, self._cached, self._snapshot, self._trial)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._random.choice(self._looks)()
                self._checked += 1
            except (aiohttp.ClientError, TimeoutError):
                self._unanswered += 1

    def forget(self) -> None:
        """Expect nothing of what was seen, or is on its way: commits were lost on purpose."""
        self._forgotten += 1
        self._newest.clear()
        self._seen.clear()

    def close(self) -> None:
        """Have all that was read in its file."""
        self._written.close()

    def verdict(self) -> Checked:
        """Give what was found so far; a run in which hardly anything was answered proves nothing."""
        findings = list(self._findings)
        if self._checked <= self._unanswered:
            findings.append({"answered": self._checked, "unanswered": self._unanswered})
        return Checked(not findings, self._checked, findings)

    async def _strong(self) -> None:
        """Read one: it knows at least what was read of it before."""
        account, forgotten = self._account(), self._forgotten
        known = self._newest.get(account, 0)
        found = await self._balance(account, "strong", known)
        if forgotten != self._forgotten:
            return
        if found["version"] < known:
            self._find("strong read went back", account=account, known=known, found=found)
        self._newest[account] = max(self._newest.get(account, 0), found["version"])
        self._seen.setdefault(account, deque(maxlen=2000)).append((monotonic(), found["version"]))

    async def _cached(self) -> None:
        account, asked = self._account(), monotonic()
        found = await self._balance(account, "cached")
        # As old as it says, and never older than it may be: what was seen before that must be in it.
        for what, age_s in (("may be", CACHED_S_MAX), ("says", found["age_ms"] / 1000)):
            known = [version for at, version in self._seen.get(account, ()) if at < asked - age_s]
            if known and found["version"] < max(known):
                self._find(
                    f"cached read is older than it {what}", account=account, known=max(known), found=found
                )

    async def _snapshot(self) -> None:
        """Read all accounts at once: money that moves between them does not change their sum."""
        page = await self._ask("/v1/accounts", prefix="bank:")
        total = sum(each["balance"] for account in page["items"] for each in account["balances"])
        if total != TOTAL:
            self._find("the sum changed", total=total, wanted=TOTAL)

    async def _trial(self) -> None:
        page = await self._ask("/v1/trial-balance", asset=BANK_ASSET)
        if any(each["difference"] for each in page["items"]):
            self._find("debits and credits differ", items=page["items"])

    async def _balance(self, account: str, consistency: str, known: int = 0) -> dict[str, Any]:
        path, began = f"/v1/accounts/{account}/balance", monotonic()
        found = await self._ask(path, asset=BANK_ASSET, consistency=consistency)
        read = {
            "tenant": BANK_TENANT,
            "account": account,
            "asset": BANK_ASSET,
            "consistency": consistency,
            "version": found["version"],
            "balance": found["balance"],
            "began": began,
            "ended": monotonic(),
            "at_least": known,
        }
        self._written.write(orjson.dumps(read) + b"\n")
        return found

    async def _ask(self, path: str, **query: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with self._http.get(
            self._url + path, params=query, headers=self._headers, timeout=timeout
        ) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    def _account(self) -> str:
        return f"bank:{self._random.randrange(BANK_ACCOUNTS)}"

    def _find(self, what: str, **facts: Any) -> None:
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append({"what": what, **facts})


class Reading:
    """A reader that reads until it is told to stop."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._task = asyncio.create_task(reader.run())

    async def stop(self) -> Checked:
        """Read no more; gives the verdict. Raises what ended the reader, if anything did."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.reader.close()
        return self.reader.verdict()


def bank_reader(
    url: str, keys: dict[str, str], http: aiohttp.ClientSession, seed: int, directory: Path
) -> Reader:
    """Give a reader of the bank's accounts."""
    return Reader(url, keys[BANK_TENANT], http, seed, reads_in(directory))
