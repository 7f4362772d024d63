"""The API of a test, over real HTTP on real books."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import SystemClock, new_event_id
from ledger.api.app import create_app
from ledger.api.services import Services
from ledger.application.access import Scope
from ledger.application.api_keys import KeyText, KeyWish, scopes_of
from ledger.application.post_events import Batch, PostEvents
from ledger.bootstrap.api import api
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from ledger.contract.decode import decode_event
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from migrations.run import migrate
from streams.serving_http import Server, listen
from tests.architecture.tree import ROOT
from tests.end_to_end.books import event, id_of
from tests.fakes import RememberedSignals

SCHEMA = "api"
KEY_SECRET = "a secret of the tests"


@dataclass
class ServedApi:
    """An API at `url`, and its books."""

    url: str
    dsn: str
    settings: Settings
    services: Services
    server: Server
    running: "asyncio.Task[None]"

    def client(self, key: KeyText | None = None) -> httpx.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10.0)

    async def key(self, *scopes: Scope, tenant: str = "acme") -> KeyText:
        async with api_keys(self.settings, self.dsn, key_secret=KEY_SECRET) as keys:
            return (await keys.create(KeyWish(tenant, "tests", scopes_of(scopes or ("read",))), "tests"))[0]

    async def post(self, *values: bytes) -> None:
        """Post events, each in a batch of its own."""
        pool = await open_pool(self.dsn, self.settings, size=2)
        try:
            store = PostgresBooks(pool, auto_open=True)
            post = PostEvents(store, SystemClock(), Rules(), RememberedSignals(), backoff_max_s=0.1)
            events: list[Event] = [decode_event(value) for value in values]
            for each in events:
                await post(Batch([each]))
        finally:
            await pool.close()


def life(tenant: str = "acme") -> list[bytes]:
    """A bit of everything, of a tenant."""

    def made(event_type: str, **data: object) -> bytes:
        return event(event_type, data, new_event_id(), tenant)

    def moved(event_type: str, debit: str, credit: str, amount: int) -> bytes:
        return made(event_type, debit=debit, credit=credit, amount=amount, asset="USD/2")

    funds = moved("transfer.post.v1", "external:bank", "customer:ann", 10_000)
    spent = moved("transfer.post.v1", "customer:ann", "merchant:shoes", 1250)
    hold = moved("hold.place.v1", "customer:ann", "merchant:shoes", 500)
    return [
        made("account.open.v1", account="till:4", normal_side="debit", overdraft="unlimited"),
        funds,
        spent,
        made("transaction.reverse.v1", transaction=id_of(spent), amount=250),
        hold,
        made("hold.capture.v1", hold=id_of(hold), amount=200, final=False),
        moved("transfer.post.v1", "customer:ann", "merchant:shoes", 1_000_000),
    ]


@asynccontextmanager
async def served(dsn: str, schema: str = SCHEMA, **settings: object) -> AsyncIterator[ServedApi]:
    """Serve the API on a free port over migrated books; Kafka is not there."""
    given = {"postgres_schema": schema, "kafka_bootstrap": "127.0.0.1:1", "api_port": 0, **settings}
    chosen = Settings(**given)  # type: ignore[arg-type]
    await migrate(dsn, schema)
    await _make_partitions(dsn, schema)
    signals = RememberedSignals()
    with listen("127.0.0.1", 0) as bound:
        async with api(chosen, dsn, signals, key_secret=KEY_SECRET) as services:
            server = Server(create_app(services), bound, shutdown_s=2.0)
            running = asyncio.ensure_future(server.run_on_socket())
            url = f"http://127.0.0.1:{server.port}"
            try:
                yield ServedApi(url, dsn, chosen, services, server, running)
            finally:
                services.draining.begin()
                server.should_exit = True
                await running


async def _make_partitions(dsn: str, schema: str) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        await connection.execute("select make_event_partitions(now(), 1)")
    finally:
        await connection.close()


# 202 says that events are on their way: until they are handled there is nothing to read.
NOT_CHECKED = ("--exclude-checks", "ensure_resource_availability")


async def fuzz(url: str, key: str, directory: Path, *options: str) -> tuple[int, str]:
    """Run schemathesis with all its checks but one; gives its exit code and what it said."""
    config = str(ROOT / "schemathesis.toml")
    program = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", config, "run"]
    arguments = [f"{url}/openapi.json", "--checks", "all", "--continue-on-failure", "--no-color"]
    arguments += [*NOT_CHECKED, *options]
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        "--header",
        f"Authorization: Bearer {key}",
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def fuzzing_finds_nothing(
    api: ServedApi, scope: Scope, directory: Path, seconds: int, *only: str
) -> None:
    """Fuzz a part of a served API for a moment, in the same way each time; raises AssertionError with what it found."""
    options = ("--max-examples", "5", "--generation-deterministic", "--max-time", str(seconds))
    code, said = await fuzz(api.url, str(await api.key(scope)), directory, *only, *options)
    assert code == 0, said[-6000:]
