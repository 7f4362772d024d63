"""`ledger api`: the HTTP API in this process."""

import asyncio
import gc
from contextlib import ExitStack

import typer

from ledger.api.app import create_app, create_operations_app
from ledger.api.services import Services
from ledger.bootstrap.api import api as composed
from ledger.config import Settings
from ledger.observability.logs import SignalLog, configure_logs
from ledger.observability.signals import Signals
from ledger.observability.tracing import TracesNotInstalledError, traces_of
from streams.cli.running import refuse, told_faults
from streams.dead_letters import PaymentsOnDemand
from streams.embedded.addresses import find_addresses
from streams.embedded.sealing_keys import with_sealing_keys
from streams.key_secret import find_key_secret
from streams.loops import new_event_loop
from streams.serving_http import ListenError, Server, listen, serve_until_stopped

OPERATIONS_SHUTDOWN_S = 1.0


def api() -> None:
    """Serve the HTTP API until SIGTERM, which lets running requests finish."""
    settings = Settings()
    configure_logs(settings.log_level)
    gc.freeze()
    try:
        with told_faults(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(settings))
    except TracesNotInstalledError as error:
        refuse(str(error))
    except ListenError as error:
        refuse(
            f"{error} LEDGER_API_HOST, LEDGER_API_PORT and LEDGER_OPERATIONS_PORT say where the API listens."
        )
    raise typer.Exit(0)


async def _serve(settings: Settings) -> None:
    signals = Signals(SignalLog())
    addresses = find_addresses(settings)
    settings = settings.model_copy(
        update={
            "kafka_bootstrap": addresses.kafka.servers,
            "postgres_dsn": addresses.postgres_dsn,
            "sealing_keys": with_sealing_keys(settings).sealing_keys,
        }
    )
    key_secret = find_key_secret(settings)
    with ExitStack() as sockets:
        bound = sockets.enter_context(listen(settings.api_host, settings.api_port))
        beside = None
        if settings.operations_port is not None:
            beside = sockets.enter_context(listen(settings.api_host, settings.operations_port))
        dsn = addresses.postgres_dsn
        async with (
            PaymentsOnDemand(settings, addresses.kafka) as payments,
            composed(settings, dsn, signals, key_secret=key_secret, payments=payments) as services,
        ):
            served = create_app(services)
            servers = [
                Server(
                    served,
                    bound,
                    shutdown_s=settings.api_shutdown_s,
                    trusted_proxies=settings.api_trusted_proxies,
                )
            ]
            if beside is not None:
                operations = create_operations_app(services)
                servers.append(Server(operations, beside, shutdown_s=OPERATIONS_SHUTDOWN_S))
            with traces_of(settings, "ledger-api", signals):
                await _run(servers, services, signals)
    signals.emit("api.stopped")


async def _run(servers: list[Server], services: Services, signals: Signals) -> None:
    def on_started() -> None:
        ports = {"port": servers[0].port, "operations_port": servers[-1].port}
        signals.emit("api.started", host=services.settings.api_host, **ports)

    def on_stop() -> None:
        services.draining.begin()
        signals.emit("api.draining")

    await serve_until_stopped(servers, on_started, on_stop)
