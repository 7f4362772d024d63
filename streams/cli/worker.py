"""`ledger worker`: a posting worker in this process."""

import asyncio
import gc
from enum import StrEnum

import typer
from prometheus_client import CollectorRegistry

from ledger.config import Settings
from ledger.observability.logs import SignalLog, configure_logs
from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Signals
from streams.app import working
from streams.cli.running import told_faults
from streams.health import health_app, serving
from streams.metrics import PartitionGauges
from streams.transport.worker import run_worker


class WorkerName(StrEnum):
    POST_EVENTS = "post-events"


def worker(
    name: WorkerName = typer.Argument(WorkerName.POST_EVENTS, help="Which worker to run."),
) -> None:
    """Run a worker until SIGTERM, which finishes the running batches and commits."""
    settings = Settings()
    configure_logs(settings.log_level)
    # Batches are many small objects that die young; the collector need not walk the program each time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with told_faults():
        code = asyncio.run(_work(settings))
    raise typer.Exit(code)


async def _work(settings: Settings) -> int:
    registry = CollectorRegistry()
    signals = Signals(SignalLog(), WorkerMetrics(registry))
    async with working(settings, signals) as app:
        PartitionGauges(app, registry)
        health = health_app(app, registry)
        async with serving(health, settings.worker_host, settings.worker_port) as port:
            signals.emit("worker.started", port=port, group=app.conf.id)
            code = await run_worker(app)
            signals.emit("worker.stopped", code=int(code))
            return code
