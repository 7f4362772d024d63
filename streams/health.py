"""What a worker says of itself over HTTP: live, ready, metrics; on an operations port, without a key."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from streams.transport.app import ChunkedApp
from streams.transport.health import partition_states

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - what is listened on, to be told from what can be reached


def state_of(app: ChunkedApp) -> dict[str, Any]:
    """Tell whether the worker takes part in its group, what it waits for, and where its partitions stand."""
    waits = list(app.flow.waits())
    joined = (app.consumer_generation_id or 0) > 0 and not app.rebalancing
    return {
        "ready": joined and not waits and not app.should_stop,
        "joined": joined,
        "waiting_for": waits,
        "partitions": {
            f"{state.place.topic}/{state.place.partition}": {
                "frontier": state.frontier,
                "committed": state.committed,
                "lag": state.lag,
            }
            for state in partition_states(app)
        },
    }


def health_app(app: ChunkedApp, registry: CollectorRegistry) -> web.Application:
    """Make the HTTP application of a worker."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"live": not app.crashed}, status=500 if app.crashed else 200)

    async def ready(request: web.Request) -> web.Response:
        state = state_of(app)
        return web.json_response(state, status=200 if state["ready"] else 503)

    async def metrics(request: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"content-type": CONTENT_TYPE_LATEST})

    server = web.Application()
    server.add_routes(
        [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]
    )
    return server


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve on `port` (0: any free one); gives the port."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def own_url(host: str, port: int, kafka_bootstrap: str) -> str:
    """Say how others reach what listens on `host` here: on every address, by the one that Kafka sees."""
    if host in EVERYWHERE:
        host = _address_towards(kafka_bootstrap.split(",")[0].strip())
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _address_towards(server: str) -> str:
    """Give the address of this machine from which it reaches `server`; nothing is sent. Raises OSError."""
    name, _, port = server.rpartition(":")
    family, kind, _, _, address = socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
