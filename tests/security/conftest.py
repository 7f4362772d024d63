"""Servers that ask for certificates and passwords, started once for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.security.deployment import Deployment, deployed
from tests.security.servers import SecureServers, secure_servers


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureServers]:
    async with secure_servers(tmp_path_factory.mktemp("secure")) as started:
        yield started


@pytest.fixture(scope="session")
async def deployment(
    servers: SecureServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    async with deployed(servers, tmp_path_factory.mktemp("deployment")) as started:
        yield started
