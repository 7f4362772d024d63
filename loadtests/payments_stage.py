"""A stack with payments workers and a provider that misbehaves as it is told."""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson

from ledger.client import KafkaClient, NewEvent
from ledger.config import Settings, environment_name
from streams.development_keys import make_development_keys
from streams.embedded.keeper import Patience
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.embedded.programs import SIMULATED, api, payments_workers, posting_workers, provider
from streams.embedded.stack import EmbeddedStack
from streams.prepare import prepare
from streams.simulated import give_simulated
from streams.transport.publisher import BatchPublisher

FUNDED_S = 60.0

RULES = {
    "answer_s": 2,
    "outcome_s": 15,
    "backoff_s": 0.5,
    "backoff_s_max": 2,
    "not_found_grace_s": 2,
    "unknown_s_max": 120,
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the stack is to have."""

    posting: int = 1
    paying: int = 2
    slots: int = 64
    total_timeout_s: float = 1.0
    rules: tuple[tuple[str, float], ...] = tuple(RULES.items())
    with_api: bool = True
    keep: bool = False


class Stage:
    """A stack that runs, and what is asked of it."""

    def __init__(self, stack: EmbeddedStack, publisher: BatchPublisher, http: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.publisher = publisher
        self._http = http

    @property
    def provider_url(self) -> str:
        return self.stack.state.read().url("provider") or ""

    @property
    def webhook_url(self) -> str:
        return f"{self.stack.state.read().url('api')}/v1/providers/{SIMULATED}/webhooks"

    async def follow(self, rules: Sequence[dict[str, Any]], seed: int = 1, *, webhooks: bool = True) -> None:
        """Give the provider a script."""
        script = {"seed": seed, "rules": rules, **({"webhook_url": self.webhook_url} if webhooks else {})}
        async with self._http.post(f"{self.provider_url}/script", json=script) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the provider takes no such script: {await answer.text()}")

    async def book(self) -> dict[str, Any]:
        """Give the provider's totals and counts."""
        async with self._http.get(f"{self.provider_url}/book") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def book_lines(self) -> list[dict[str, Any]]:
        """Give every line of the provider's book."""
        async with self._http.get(f"{self.provider_url}/book/lines") as answer:
            return [orjson.loads(line) async for line in answer.content]

    async def fund(self, events: Sequence[NewEvent]) -> None:
        """Send what accounts need before anything is measured, and wait until it is posted; raises RuntimeError."""
        payments, outcomes_topic = self.settings.payments_topic, self.settings.outcomes_topic
        async with KafkaClient(
            self.stack.kafka, TENANT, payments_topic=payments, outcomes_topic=outcomes_topic
        ) as client:
            outcomes = await client.outcomes_of(events, wait_s=FUNDED_S)
        if missing := len(events) - sum(outcome.transaction is not None for outcome in outcomes.values()):
            raise RuntimeError(f"{missing:,} of {len(events):,} events that fund accounts are not posted")

    async def sql(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask the books as their owner."""
        connection = await asyncpg.connect(
            self.stack.postgres_dsn, server_settings={"search_path": self.settings.postgres_schema}
        )
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def value(self, query: str) -> Any:
        """Ask the books for one value."""
        return (await self.sql(query))[0][0]


@asynccontextmanager
async def payments_stage(wishes: Wishes) -> AsyncIterator[Stage]:
    """Start a stack of its own, which is removed afterwards; its tenant has the provider."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-payments-"))
    os.environ.update(_environment(wishes))
    settings = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    stack = EmbeddedStack(
        directory,
        settings=settings,
        preparations=(prepare, make_development_keys, partial(_give_provider, wishes)),
        programs=[
            provider,
            *posting_workers(wishes.posting),
            *([api] if wishes.with_api else []),
            *payments_workers(wishes.paying),
        ],
        patience=Patience(backoff_s=0.1, backoff_max_s=0.5),
    )
    try:
        async with stack, _opened(stack) as stage:
            yield stage
    finally:
        if wishes.keep:
            tell(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def _opened(stack: EmbeddedStack) -> AsyncIterator[Stage]:
    publisher = BatchPublisher(stack.kafka)
    await publisher.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Stage(stack, publisher, http)
    finally:
        await publisher.stop()


async def _give_provider(wishes: Wishes, settings: Settings) -> None:
    await give_simulated(settings, TENANT, total_timeout_s=wishes.total_timeout_s, slots=wishes.slots)


def _environment(wishes: Wishes) -> dict[str, str]:
    told = {
        "payment_rules": orjson.dumps(dict(wishes.rules)).decode(),
        "session_timeout_s": "4",
        "log_level": "warning",
    }
    return {environment_name(name): value for name, value in told.items()}


def tell(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)
