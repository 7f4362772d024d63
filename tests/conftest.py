"""Servers for the tests that need them: started once for a whole run, and only when a test asks."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from ledger.config import Settings
from streams.embedded.stack import EmbeddedStack

# What the shell of a developer has set must not lead a test to servers with data that matters.
ISOLATED = Settings(kafka_bootstrap=None, postgres_dsn=None)


# Few examples and always the same ones; HYPOTHESIS_PROFILE=explore looks for new ones.
hypothesis_settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "explore", max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The bootstrap address of a Kafka for this run."""
    async with EmbeddedStack(
        _directory(tmp_path_factory, "kafka"), settings=ISOLATED, postgres=False
    ) as stack:
        yield stack.kafka


@pytest.fixture(scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a PostgreSQL for this run, with one empty database."""
    async with EmbeddedStack(
        _directory(tmp_path_factory, "postgres"), settings=ISOLATED, kafka=False
    ) as stack:
        yield stack.postgres_dsn


def _directory(factory: pytest.TempPathFactory, name: str) -> Path:
    return factory.mktemp(name) / "state"
