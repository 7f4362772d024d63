"""A world that has lived, and a client of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.world import World, client_over


@pytest.fixture
async def world() -> World:
    world = World()
    await world.live()
    return world


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_over(world) as client:
        yield client
