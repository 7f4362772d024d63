"""The pictures of docs/console.md: `python -m tests.end_to_end.console_pictures` takes them anew."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import Browser, expect

from ledger.config import Settings
from streams.embedded.stack import EmbeddedStack
from tests.architecture.tree import ROOT
from tests.end_to_end.console_stage import ConsoleStage, Seen, browser, chromium, console_stage, signed_in

IMAGES = ROOT / "docs" / "images"
SCREEN = {"width": 1200, "height": 800}
TALL = {"width": 1200, "height": 1500}
PHONE = {"width": 390, "height": 844}


class Picture(NamedTuple):
    """One picture: of which page, in which theme, on how large a screen."""

    name: str
    path: str
    theme: Any = "light"
    screen: Any = SCREEN


def pictures(stage: ConsoleStage, letter: str) -> list[Picture]:
    """Say which pictures there are."""
    return [
        Picture("console-overview", ""),
        Picture("console-overview-dark", "", "dark"),
        Picture("console-phone", "", "light", PHONE),
        Picture("console-account", "/accounts/customer:ann?asset=USD/2", "light", TALL),
        Picture("console-payment", f"/payments/acme/{stage.payment}", "light", TALL),
        Picture("console-letter", letter, "dark"),
        Picture("console-event", f"/events/{stage.transaction}"),
        Picture("console-trial-balance", "/trial-balance"),
    ]


async def take(stage: ConsoleStage, chrome: Browser, picture: Picture) -> None:
    """Take one."""
    async with await chrome.new_context(color_scheme=picture.theme, viewport=picture.screen) as context:
        page = await signed_in(context, stage, stage.admin, Seen())
        await page.goto(f"{stage.url}/console{picture.path}")
        if await page.locator("[data-chart]").count():
            await expect(page.locator(".plot canvas")).to_have_count(1)
        if await page.locator("[data-live]").count():
            # The second look has the rates.
            await expect(page.locator(".rate").first).not_to_contain_text("…", timeout=10_000)
        await page.screenshot(path=IMAGES / f"{picture.name}.png")


async def main() -> None:
    """Take all of them, on a stack of their own."""
    if chromium() is None:
        sys.exit("No Chromium is on this machine: `apt-get install chromium` brings one.")
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "state"
        isolated = Settings(kafka_bootstrap=None, postgres_dsn=None)
        async with (
            EmbeddedStack(state, settings=isolated) as stack,
            console_stage(stack.kafka, stack.postgres_dsn, "ledger", state) as stage,
            browser() as chrome,
        ):
            letter = (await stage.books.sql('select topic, "partition", "offset" from dead_letters limit 1'))[
                0
            ]
            path = f"/letters/{letter['topic']}/{letter['partition']}/{letter['offset']}"
            for picture in pictures(stage, path):
                await take(stage, chrome, picture)


if __name__ == "__main__":
    asyncio.run(main())
