"""The application: routes over services, every error a problem document."""

from fastapi import FastAPI

from ledger.api.console.pages import ConsoleHeaders
from ledger.api.console.routes import console_routers
from ledger.api.faults import ProblemsOnly, add_problems
from ledger.api.openapi import VERSION, DocumentedApi
from ledger.api.routes import (
    accounts,
    balances,
    docs,
    entries,
    events,
    health,
    holds,
    home,
    live,
    metrics,
    payments,
    providers,
    submit,
    transactions,
    trial_balance,
    webhooks,
    windows,
)
from ledger.api.services import Services
from ledger.api.shedding import BodyLimit, LoadShedding
from ledger.api.telemetry import Telemetry
from ledger.observability.tracing import Requests

ROUTES = (
    accounts,
    balances,
    entries,
    windows,
    events,
    transactions,
    holds,
    payments,
    providers,
    webhooks,
    trial_balance,
    submit,
    live,
)


def create_app(services: Services) -> FastAPI:
    """Make the API over `services`, which others open and close."""
    app = _application(services, "Ledger")
    for routes in ROUTES:
        app.include_router(routes.router)
    app.include_router(docs.router)
    for pages in (home.router, *console_routers()) if services.console is not None else ():
        app.include_router(pages)
    if services.settings.operations_port is None:
        app.include_router(health.router)
        app.include_router(metrics.router)
    return app


def create_operations_app(services: Services) -> FastAPI:
    """Make what answers on the operations port: health and metrics, without a key."""
    app = _application(services, "Ledger operations")
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app


def _application(services: Services, title: str) -> FastAPI:
    app = DocumentedApi(title=title, version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    add_problems(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, bytes_max=services.settings.api_body_bytes_max)
    if services.places is not None:
        app.add_middleware(LoadShedding, places=services.places, signals=services.signals)
    app.add_middleware(ProblemsOnly, signals=services.signals)
    app.add_middleware(ConsoleHeaders)
    app.add_middleware(
        Telemetry,
        metrics=services.metrics,
        signals=services.signals,
        requests=Requests.of(services.settings),
    )
    return app
