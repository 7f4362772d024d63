"""Whoever opens the address of the API in a browser comes to the console, where there is one."""

from tests.api.console_world import ConsoleWorld, browser_of
from tests.api.world import World


async def test_address_without_a_path_leads_to_the_console() -> None:
    async with browser_of(ConsoleWorld().services()) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/console")


async def test_address_without_a_path_is_unknown_where_there_is_no_console() -> None:
    async with browser_of(World().services()) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
