"""A ledger of a module's own, under the module's NAME, and its API; a module may have others instead."""

from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet

from tests.end_to_end.books import Books
from tests.end_to_end.serving_api import ServedApi, served


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Books]:
    name = request.module.NAME
    async with Books.open(kafka, postgres_dsn, name, tmp_path_factory.mktemp(name)) as books:
        yield books


@pytest.fixture(scope="module")
async def api(books: Books) -> AsyncIterator[ServedApi]:
    """The API beside a posting worker that works."""
    settings = books.settings
    shared = ("kafka_bootstrap", "payments_topic", "outcomes_topic", "webhooks_topic")
    given = {name: getattr(settings, name) for name in shared}
    given["sealing_keys"] = Fernet.generate_key().decode()
    async with (
        books.worker(),
        served(str(settings.postgres_dsn), settings.postgres_schema, **given) as api,
    ):
        yield api
