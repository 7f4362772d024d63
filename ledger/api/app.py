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

ROUTES = (accounts, balances, entries, windows, events, transactions, holds, trial_balance, health)


def create_app(services: Services) -> FastAPI:
    """Make the API over `services`, which others open and close."""
    app = FastAPI(
        title="Ledger",
        version="1.0.0",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    add_problems(app)
    for routes in ROUTES:
        app.include_router(routes.router)
    app.add_middleware(ProblemsOnly, signals=services.signals)
    return app
