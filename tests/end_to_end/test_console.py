"""The console in a browser, over a running stack: every page in both themes, and what is wrong found in clicks."""

from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from ledger.adapters.system import new_event_id
from tests.end_to_end.console_stage import (
    STUCK,
    ConsoleStage,
    Seen,
    browser,
    chromium,
    console_stage,
    signed_in,
)

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium is on this machine")

CHECKED = {
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    # In the dark only colours are others.
    "dark": {"runOnly": ["color-contrast"]},
}
SERVED_S_MAX = 0.2
SERVED_S_WORST = 1.0
TIMES = 5
"""A page is asked for so often: as a rule, the middle one, it is fast; and it is never slow."""
PHONE = {"width": 390, "height": 844}
TOO_WIDE = """[...document.querySelectorAll("main *, header *")]
    .filter(each => each.getBoundingClientRect().right > innerWidth && !each.closest(".scroll"))
    .map(each => each.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
async def stage(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConsoleStage]:
    directory = tmp_path_factory.mktemp("console")
    async with console_stage(kafka, postgres_dsn, "console", directory) as stage:
        yield stage


@pytest.fixture(scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


async def pages_of(stage: ConsoleStage) -> list[str]:
    """Give the path of every page; the dead letter is where it came to lie."""
    (letter,) = await stage.books.sql('select "partition", "offset" from dead_letters limit 1')
    return [path.format(**letter) for path in stage.pages()]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_right_for_everybody_and_asks_nobody_else(
    stage: ConsoleStage, chrome: Browser, theme: Any
) -> None:
    seen, found = Seen(), {}
    async with await chrome.new_context(color_scheme=theme) as context:
        first = await context.new_page()
        seen.watch(first)
        await first.goto(f"{stage.url}/console/sign-in")
        found["/sign-in"] = await _wrong(first, theme)
        page = await signed_in(context, stage, stage.admin, seen)
        for path in await pages_of(stage):
            await page.goto(f"{stage.url}/console{path}")
            await _until_drawn(page)
            found[path] = await _wrong(page, theme)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    # One page is there to say that it is none, and browsers tell of its status.
    assert [each for each in seen.said if not each.endswith(f" at {stage.url}/console/nowhere")] == []
    assert len(seen.said) == 1
    assert [url for url in seen.asked if not url.startswith(stage.url)] == []


async def _wrong(page: Page, theme: str) -> list[str]:
    result = await Axe().run(page, options=CHECKED[theme])
    return [_told(each) for each in result.response["violations"]]


def _told(violation: Any) -> str:
    return f"{violation['id']}: {[node['target'] for node in violation['nodes'][:3]]}"


async def _until_drawn(page: Page) -> None:
    if await page.locator("[data-chart]").count():
        await expect(page.locator("[data-told]")).to_contain_text("with entries")
        await expect(page.locator(".plot canvas")).to_have_count(1)


async def test_no_page_is_wider_than_a_phone(stage: ConsoleStage, chrome: Browser) -> None:
    wide = {}
    async with await chrome.new_context(viewport=PHONE) as context:  # type: ignore[arg-type]
        page = await signed_in(context, stage, stage.admin, Seen())
        for path in await pages_of(stage):
            await page.goto(f"{stage.url}/console{path}")
            if await page.evaluate("document.scrollingElement.scrollWidth") > PHONE["width"]:
                wide[path] = await page.evaluate(TOO_WIDE)
    assert wide == {}


async def clicked(page: Page, *links: str) -> None:
    """Go from the overview by so many links."""
    for name in links:
        await page.get_by_role("main").get_by_role("link", name=name).first.click()


async def test_what_is_wrong_is_found_from_the_overview_in_three_clicks(
    stage: ConsoleStage, chrome: Browser
) -> None:
    async with await chrome.new_context() as context:
        page = await signed_in(context, stage, stage.admin, Seen())
        await clicked(page, "The payment")
        await expect(page.get_by_role("main")).to_contain_text(STUCK)
        await expect(page.get_by_role("button", name="Write it down")).to_be_visible()

        await page.goto(f"{stage.url}/console")
        await clicked(page, "The dead letters", f"{stage.books.settings.payments_topic}/")
        await expect(page.get_by_role("region", name="Its bytes as text")).to_contain_text("12.50")

        stage.line.cut()
        try:
            await page.goto(f"{stage.url}/console")
            await expect(page.locator("#troubles")).to_contain_text("PostgreSQL cannot be read")
            assert await _wrong(page, "light") == []
            await clicked(page, "How it stands")
            await expect(page.locator("#books")).to_contain_text("PostgreSQL cannot be read. It said")
            await page.go_back()
            await clicked(page, "What to do about it: postgresql is away")
            await expect(page.locator("#postgresql-is-away")).to_be_visible()
            await page.goto(f"{stage.url}/console/accounts")
            await expect(page.get_by_role("heading", level=1)).to_contain_text("The books cannot be read")
            assert await _wrong(page, "light") == []
        finally:
            stage.line.mend()


async def test_the_overview_is_live_and_a_mended_letter_is_posted(
    stage: ConsoleStage, chrome: Browser
) -> None:
    async with await chrome.new_context() as context:
        page = await signed_in(context, stage, stage.admin, Seen())
        await expect(page.locator("#live-state")).to_contain_text("live")
        other = await context.new_page()
        await other.goto(f"{stage.url}/console/letters")
        await other.get_by_role("link", name=f"{stage.books.settings.payments_topic}/").first.click()
        await other.get_by_label("The event").fill('{"specversion":"1.0"}')
        await other.get_by_role("button", name="Send the mended event").click()
        await expect(other.get_by_role("alert")).to_contain_text("That is no event either")
        await other.get_by_label("The event").fill(_mended())
        await other.get_by_role("button", name="Send the mended event").click()
        await expect(other.get_by_role("status").first).to_contain_text("The mended letter was sent")
        await expect(page.locator("#troubles")).not_to_contain_text("dead letter")


async def test_an_overview_whose_session_has_ended_does_not_stay_as_it_was(
    stage: ConsoleStage, chrome: Browser
) -> None:
    async with await chrome.new_context() as context:
        page = await signed_in(context, stage, stage.reader, Seen())
        await expect(page.locator("#live-state")).to_contain_text("live")
        other = await context.new_page()
        await other.goto(f"{stage.url}/console/accounts")
        await other.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)


async def test_a_search_that_could_not_be_made_leaves_nothing_that_looks_found(
    stage: ConsoleStage, chrome: Browser
) -> None:
    async with await chrome.new_context() as context:
        page = await signed_in(context, stage, stage.reader, Seen())
        await page.goto(f"{stage.url}/console/accounts")
        await expect(page.locator("#found tbody tr").first).to_be_visible()
        await page.route("**/console/accounts?*", lambda route: route.abort())
        await page.get_by_label("The code begins with").press_sequentially("zed")
        await expect(page.locator("#found")).to_contain_text("It could not be looked up")
        await expect(page.locator("#found tbody tr")).to_have_count(0)


def _mended() -> str:
    event = (
        '{"specversion":"1.0","id":"%s","source":"console","type":"transfer.post.v1","tenant":"acme",'
        '"data":{"debit":"external:bank","credit":"customer:mended","amount":1250,"asset":"USD/2"}}'
    )
    return event % new_event_id()


async def test_keys_lead_to_the_search_and_to_the_content(stage: ConsoleStage, chrome: Browser) -> None:
    async with await chrome.new_context() as context:
        page = await signed_in(context, stage, stage.reader, Seen())
        await page.reload()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.type(stage.transaction)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Event")
        await expect(page.get_by_role("main")).to_contain_text("1,250.00 USD")
        await page.goto(f"{stage.url}/console/accounts")
        await page.get_by_label("The code begins with").press_sequentially("customer:a")
        await expect(page.locator("#found tbody tr")).to_have_count(1)


async def test_the_theme_is_chosen_and_kept(stage: ConsoleStage, chrome: Browser) -> None:
    async with await chrome.new_context(color_scheme="light") as context:
        page = await signed_in(context, stage, stage.reader, Seen())
        before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await page.get_by_role("button", name="Use the dark theme").click()
        await page.reload()
        after = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after


async def test_no_page_takes_the_server_long(stage: ConsoleStage) -> None:
    slow, statuses = {}, {}
    async with httpx.AsyncClient(base_url=stage.url, follow_redirects=True) as client:
        form = (await client.get("/console/sign-in")).text
        token = form.partition('name="token" value="')[2].partition('"')[0]
        given = {"token": token, "key": str(stage.admin), "next": "/console"}
        assert (await client.post("/console/sign-in", data=given)).status_code == 200
        for path in await pages_of(stage):
            served = [await _served(client, f"/console{path}") for _ in range(TIMES)]
            took = sorted(seconds for seconds, _ in served)
            statuses[path] = {status for _, status in served}
            if took[TIMES // 2] > SERVED_S_MAX or took[-1] > SERVED_S_WORST:
                slow[path] = took
    assert slow == {}
    assert statuses == {path: {404 if path == "/nowhere" else 200} for path in statuses}


async def _served(client: httpx.AsyncClient, path: str) -> tuple[float, int]:
    begun = perf_counter()
    answer = await client.get(path)
    return perf_counter() - begun, answer.status_code
