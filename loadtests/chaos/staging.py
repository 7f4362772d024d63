"""Starts a stage: servers, books, keys, a provider for each tenant, every program, the load; and ends all of it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ledger.application.api_keys import KeyWish, new_key, parse_key, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from loadtests.chaos.load import loading, truth_in
from loadtests.chaos.proxy import proxied
from loadtests.chaos.reads import Reading, bank_reader
from loadtests.chaos.sender import Order
from loadtests.chaos.servers import brokers, redis, redis_program
from loadtests.chaos.stage import CHAINING, MAKERS, PAYING, QUIET_S, WINDOWS, Stage, Wishes
from loadtests.chaos.traffic import TENANTS
from streams.development_keys import make_development_keys
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.embedded.programs import api, posting_workers, provider
from streams.embedded.state import StateDirectory
from streams.key_secret import find_key_secret
from streams.prepare import prepare
from streams.simulated import give_simulated


@asynccontextmanager
async def staged(directory: Path, wishes: Wishes) -> AsyncIterator[Stage]:
    """Start everything, with its opening posted and the load at rest; nothing is left of it but files."""
    state = StateDirectory(directory)
    state.make()
    stage = Stage(state, wishes, brokers(state, wishes.brokers, wishes.host, wishes.kafka))
    async with AsyncExitStack() as afterwards:
        afterwards.push_async_callback(stage.http.close)
        await afterwards.enter_async_context(proxied(*stage.proxies.values()))
        afterwards.push_async_callback(stage.crew.close)
        await stage.crew.start(*(each.part for each in stage.brokers), stage.server.part())
        await _prepare(stage)
        await _start_programs(stage)
        afterwards.push_async_callback(stage.watch.stop)
        stage.watch.start()
        order = Order(stage.kafka, stage.settings.payments_topic, wishes.seed, str(truth_in(directory)))
        stage.load = await afterwards.enter_async_context(loading(order, wishes.rate))
        await stage.load.until_opened()
        await stage.until_recovered(QUIET_S)
        reader = bank_reader(stage.url("api"), stage.keys, stage.http, wishes.seed, directory)
        stage.reading = Reading(reader)
        afterwards.push_async_callback(stage.reading.stop)
        yield stage


async def _prepare(stage: Stage) -> None:
    settings = stage.settings
    await prepare(settings)
    await make_development_keys(settings)
    stage.keys = await _make_keys(settings)
    url = f"http://{stage.proxies['provider'].address}"
    for tenant in (TENANT, *TENANTS):
        await give_simulated(settings, tenant, url=url, slots=32, total_timeout_s=1.0)


async def _make_keys(settings: Settings) -> dict[str, str]:
    """Make each tenant a key that may do everything."""
    found = {}
    key_secret = find_key_secret(settings)
    async with api_keys(settings, settings.postgres_dsn or "", key_secret=key_secret) as all_keys:
        for tenant in (TENANT, *TENANTS):
            text = str(new_key(secrets.token_bytes))
            if (parsed := parse_key(text)) is not None:
                await all_keys.ensure(parsed, KeyWish(tenant, "chaos", scopes_of(["admin"])), "chaos")
                found[tenant] = text
    return found


async def _start_programs(stage: Stage) -> None:
    wishes, program = stage.wishes, redis_program()
    if program is not None:
        await stage.crew.start(redis(stage.state, program))
    await stage.crew.start(stage.told(provider))
    counts = {WINDOWS: wishes.windows, PAYING: wishes.payments, CHAINING: wishes.chain}
    programs = [made for kind, count in counts.items() for made in MAKERS[kind](count)]
    await stage.crew.start(*(stage.told(each) for each in (*posting_workers(wishes.posting), *programs, api)))
