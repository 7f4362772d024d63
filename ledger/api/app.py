"""The application: routes over services, every error a problem document."""

from fastapi import FastAPI

from ledger.api.faults import ProblemsOnly, add_problems
from ledger.api.routes import (
    accounts,
    balances,
    entries,
    events,
    health,
    holds,
    transactions,
    trial_balance,
    windows,
)
from ledger.api.services import Services

ROUTES = (accounts, balances, entries, windows, events, transactions, holds, trial_balance)


def create_app(services: Services) -> FastAPI:
    """Make the API over `services`, which others open and close."""
    app = _application(services, "Ledger")
    for routes in ROUTES:
        app.include_router(routes.router)
    if services.settings.operations_port is None:
        app.include_router(health.router)
    return app


def create_operations_app(services: Services) -> FastAPI:
    """Make what answers on the operations port: health and metrics, without a key."""
    app = _application(services, "Ledger operations")
    app.include_router(health.router)
    return app


def _application(services: Services, title: str) -> FastAPI:
    app = FastAPI(title=title, version="1.0.0", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    add_problems(app)
    app.add_middleware(ProblemsOnly, signals=services.signals)
    return app
