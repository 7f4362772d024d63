"""One ledger in full for all tests of the checker."""

from collections.abc import AsyncIterator

import pytest

from tests.loadtests.checker.stage import Stage, staged


@pytest.fixture(scope="session")
async def stage(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with staged(kafka, postgres_dsn, tmp_path_factory.mktemp("checked")) as stage:
        yield stage
