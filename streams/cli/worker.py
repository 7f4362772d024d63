"""`ledger worker`: a worker in this process, which posts, rolls windows, advances payments or chains transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

import typer
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from yarl import URL

from ledger.config import Settings
from ledger.observability.logs import SignalLog, configure_logs
from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Signals
from ledger.observability.tracing import TracesNotInstalledError, traces_of
from streams.cli.running import refuse, told_faults
from streams.collecting import collect_rarely, collecting
from streams.health import health_app, own_url, serving
from streams.loops import new_event_loop
from streams.metrics import PartitionGauges, WindowGauges
from streams.transport.app import ChunkedApp
from streams.transport.worker import run_worker


class WorkerName(StrEnum):
    POST_EVENTS = "post-events"
    ROLL_WINDOWS = "roll-windows"
    ADVANCE_PAYMENTS = "advance-payments"
    CHAIN_TRANSACTIONS = "chain-transactions"


def worker(
    name: WorkerName = typer.Argument(WorkerName.POST_EVENTS, help="Which worker to run."),
) -> None:
    """Run a worker until SIGTERM, which finishes the running batches and commits."""
    settings = Settings()
    configure_logs(settings.log_level)
    with told_faults(), asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            code = runner.run(_work(name, settings))
        except TracesNotInstalledError as error:
            refuse(str(error))
    raise typer.Exit(code)


async def _work(name: WorkerName, settings: Settings) -> int:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return await _WORKS[name](settings, registry)


# Each imports its own parts alone: all of them together make every start and fail-over longer.


async def _post_events(settings: Settings, registry: CollectorRegistry) -> int:
    from streams.app import working

    signals = Signals(SignalLog(), WorkerMetrics(registry))
    async with working(settings, signals) as app:
        return await _serve(app, health_app(app, registry), settings, signals, registry)


async def _roll_windows(settings: Settings, registry: CollectorRegistry) -> int:
    from ledger.observability.window_metrics import WindowMetrics
    from streams.rolling import rolling
    from streams.windows.serving import add_window_routes

    signals = Signals(SignalLog(), WorkerMetrics(registry), WindowMetrics(registry))
    async with rolling(settings, signals) as windows:
        WindowGauges(windows.book, registry)
        health = health_app(windows.app, registry)
        add_window_routes(health, windows.book, windows.app, settings)
        return await _serve(windows.app, health, settings, signals, registry)


async def _advance_payments(settings: Settings, registry: CollectorRegistry) -> int:
    from ledger.observability.payment_metrics import PaymentMetrics
    from ledger.observability.provider_metrics import ProviderMetrics
    from streams.advancing import paying

    listeners = (WorkerMetrics(registry), PaymentMetrics(registry), ProviderMetrics(registry))
    signals = Signals(SignalLog(), *listeners)
    async with paying(settings, signals) as app:
        return await _serve(app, health_app(app, registry), settings, signals, registry)


async def _chain_transactions(settings: Settings, registry: CollectorRegistry) -> int:
    from ledger.observability.chain_metrics import ChainMetrics
    from streams.chaining import chain_worker

    signals = Signals(SignalLog(), WorkerMetrics(registry), ChainMetrics(registry))
    async with chain_worker(settings, signals) as app:
        return await _serve(app, health_app(app, registry), settings, signals, registry)


_WORKS: Mapping[WorkerName, Callable[[Settings, CollectorRegistry], Awaitable[int]]] = {
    WorkerName.POST_EVENTS: _post_events,
    WorkerName.ROLL_WINDOWS: _roll_windows,
    WorkerName.ADVANCE_PAYMENTS: _advance_payments,
    WorkerName.CHAIN_TRANSACTIONS: _chain_transactions,
}


async def _serve(
    app: ChunkedApp,
    health: web.Application,
    settings: Settings,
    signals: Signals,
    registry: CollectorRegistry,
) -> int:
    collect_rarely()
    PartitionGauges(app, registry)
    async with serving(health, settings.worker_host, settings.worker_port) as port:
        # The group tells its members this address of each other.
        app.conf.canonical_url = URL(
            settings.worker_url
            or own_url(settings.worker_host, port, app.flow.settings.kafka_bootstrap or "")
        )
        with traces_of(settings, str(app.conf.id), signals), collecting():
            signals.emit("worker.started", port=port, group=app.conf.id)
            code = await run_worker(app)
            signals.emit("worker.stopped", code=int(code))
            return code
