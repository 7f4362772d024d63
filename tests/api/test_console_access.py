"""Who is let into the console, what a form must bring, and what every answer says to the browser."""

import asyncio
import hashlib
import re
from http.cookies import SimpleCookie

import pytest
from starlette.routing import Route

from ledger.adapters.memory.payments import MemoryPayments
from ledger.api.console.pages import POLICY
from ledger.api.console.routes import console_routers, found_at
from ledger.api.console.static import TYPES
from ledger.api.sessions import COOKIE, Sessions
from ledger.application.faults import BusyError, OverloadedError, TooSlowError, TransientFaultError
from tests.api.console_world import ConsoleWorld, browser_of, forget_keys, sign_in, token_in, visiting
from tests.architecture.tree import ROOT
from tests.builders import event_id

STATIC = ROOT / "ledger" / "api" / "console" / "static"
OPEN = ("/console/sign-in", "/console/sign-out", "/console/static/{name}")
EXISTING = {
    "account": "ann",
    "event": event_id("d1"),
    "transaction": event_id("d1"),
    "payment": event_id("p1"),
    "tenant": "acme",
    "topic": "payments",
    "partition": "0",
    "offset": "7",
    "name": "report.json",
    "rest": "elsewhere",
}


def routes(method: str) -> list[str]:
    """Give the paths that answer a method."""
    found = [route for router in console_routers() for route in router.routes if isinstance(route, Route)]
    return sorted(route.path for route in found if method in (route.methods or ()))


def filled(path: str) -> str:
    return path.replace(":path", "").format(**EXISTING)


@pytest.fixture
async def world() -> ConsoleWorld:
    world = ConsoleWorld()
    await world.live()
    return world


@pytest.mark.parametrize("path", [path for path in routes("GET") if path not in OPEN])
async def test_who_has_not_signed_in_is_sent_to_the_sign_in(world: ConsoleWorld, path: str) -> None:
    async with browser_of(world.services()) as client:
        answer = await client.get(filled(path))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?next=%2Fconsole")


@pytest.mark.parametrize("path", routes("POST"))
async def test_no_form_counts_without_its_token(world: ConsoleWorld, path: str) -> None:
    async with visiting(world, "admin") as client:
        for token in ({}, {"token": "0" * 31}, {"token": "é"}):
            answer = await client.post(filled(path), data={"key": "x", "why": "y", **token})
            assert (answer.status_code, "The form has expired" in answer.text) == (403, True)


@pytest.mark.parametrize("path", routes("POST"))
async def test_no_form_of_another_site_counts(world: ConsoleWorld, path: str) -> None:
    async with visiting(world, "admin") as client:
        page = await client.get("/console")
        form = {"token": token_in(page.text), "key": "x", "why": "y"}
        answer = await client.post(filled(path), data=form, headers={"Sec-Fetch-Site": "same-site"})
    assert answer.status_code == 403


async def test_every_answer_lets_nothing_in_from_elsewhere(world: ConsoleWorld) -> None:
    paths = [filled(path) for path in routes("GET") if path != "/console/live"]
    async with visiting(world, "admin") as client:
        answers = [await client.get(path) for path in [*paths, "/console/", "/console/a/b/c"]]
        answers.append(await client.post("/console/accounts"))
        answers.append(await client.request("BREW", "/console"))
    assert {answer.headers["content-security-policy"] for answer in answers} == {POLICY}
    assert "unsafe" not in POLICY
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


async def test_pages_are_not_kept_by_anybody(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        page, file = await client.get("/console/accounts/ann"), await client.get("/console/static/icon.svg")
    assert (page.headers["cache-control"], file.headers["cache-control"]) == ("no-store", "no-cache")


async def test_no_page_has_a_script_or_a_style_inside(world: ConsoleWorld) -> None:
    async with visiting(world, "admin") as client:
        texts = [(await client.get(filled(path))).text for path in routes("GET") if path != "/console/live"]
    for text in texts:
        assert re.findall(r"<script(?![^>]* src=\"/console/static/)|<style|\sstyle=|\son\w+=", text) == []


async def test_a_session_is_only_for_this_site_and_not_for_scripts(world: ConsoleWorld) -> None:
    key = await world.key("read")
    async with browser_of(world.services()) as client:
        plain = (await sign_in(client, key)).headers["set-cookie"]
    async with browser_of(world.services(), "https://api") as client:
        secure = (await sign_in(client, key)).headers["set-cookie"]
    morsel = SimpleCookie(plain)[COOKIE]
    assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"]) == (True, "lax", "/console")
    assert ("; Secure" in plain, "; Secure" in secure) == (False, True)
    assert key.secret not in plain


async def test_a_key_that_is_not_good_is_not_let_in(world: ConsoleWorld) -> None:
    key = await world.key("read")
    await world.keys.revoke(key.key_id)
    async with browser_of(world.services()) as client:
        for given in (key, "lk_x", "", "\u2028"):
            answer = await sign_in(client, given)
            assert answer.status_code in (403, 422)
        assert (await client.get("/console")).status_code == 303


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/v1/accounts", "/consoles", "\n"]
)
async def test_signing_in_leads_nowhere_else(world: ConsoleWorld, wanted: str) -> None:
    async with browser_of(world.services()) as client:
        form = await client.get("/console/sign-in", params={"next": wanted})
        given = {"token": token_in(form.text), "key": str(await world.key()), "next": wanted}
        answer = await client.post("/console/sign-in", data=given)
    assert answer.headers.get("location", "/console") == "/console"


async def test_signing_in_leads_back(world: ConsoleWorld) -> None:
    wanted = "/console/accounts/ann?asset=USD/2"
    async with browser_of(world.services()) as client:
        asked = await client.get(wanted)
        form = await client.get(asked.headers["location"])
        assert 'value="/console/accounts/ann?asset=USD/2"' in form.text
        assert (await sign_in(client, await world.key(), wanted)).headers["location"] == wanted


@pytest.mark.parametrize("forged", ["", "x", "e30.x", None])
async def test_a_session_that_was_not_written_here_is_none(world: ConsoleWorld, forged: str | None) -> None:
    if forged is None:
        other = Sessions("another secret of the tests", bytes, lasts_s=3600, ends_s=3600)
        caller = await world.chain.caller_of(str(await world.key("admin")))
        forged = other.write(other.begin(world.clock.now(), caller))
    async with browser_of(world.services()) as client:
        answer = await client.get("/console", headers={"Cookie": f"{COOKIE}={forged}"})
    assert answer.status_code == 303


WITHOUT_BOOKS = ("/console", "/console/pipeline", "/console/runbook")


async def test_a_session_is_believed_for_how_the_parts_stand_while_the_books_are_away(
    world: ConsoleWorld,
) -> None:
    async with visiting(world, "admin") as client:
        forget_keys(world, TransientFaultError("away"))
        answers = [await client.get(path) for path in WITHOUT_BOOKS]
    assert {answer.status_code for answer in answers} == {200}
    assert all("your session is believed" in answer.text for answer in answers)


@pytest.mark.parametrize(
    "path", [path for path in routes("GET") if path not in (*OPEN, *WITHOUT_BOOKS, "/console/live")]
)
async def test_a_session_alone_opens_no_page_of_a_tenant(world: ConsoleWorld, path: str) -> None:
    async with visiting(world, "admin") as client:
        forget_keys(world, TransientFaultError("away"))
        answer = await client.get(filled(path))
    assert answer.status_code == 503


@pytest.mark.parametrize("fault", [OverloadedError("many"), BusyError("no room"), TooSlowError("busy")])
@pytest.mark.parametrize("path", [*WITHOUT_BOOKS, "/console/live", "/console/accounts/ann"])
async def test_a_session_is_not_believed_while_the_books_are_only_busy(
    world: ConsoleWorld, path: str, fault: Exception
) -> None:
    async with visiting(world, "admin") as client:
        forget_keys(world, fault)
        answer = await asyncio.wait_for(client.get(path), 5)
    assert answer.status_code == 503


async def test_the_overview_of_a_session_that_is_believed_shows_nothing_of_its_tenant(
    world: ConsoleWorld,
) -> None:
    read: list[str] = []

    def payments(tenant_id: int) -> MemoryPayments:
        read.append("payments")
        return MemoryPayments(world.books)

    async with visiting(world, payments=payments) as client:
        await client.get("/console")
        assert read == ["payments"]
        forget_keys(world, TransientFaultError("away"))
        answer = await client.get("/console")
    assert (answer.status_code, read) == (200, ["payments"])


async def test_a_session_that_is_only_believed_does_not_last_longer(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        forget_keys(world, TransientFaultError("away"))
        world.clock.move(2400)
        answer = await client.get("/console")
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
        world.clock.move(1201)
        assert (await client.get("/console")).status_code == 303


async def test_nobody_signs_in_while_the_books_are_away_and_is_told_so(world: ConsoleWorld) -> None:
    async def away(key_id: str) -> None:
        raise TransientFaultError("away")

    key = await world.key()
    world.key_store.presented = away  # type: ignore[method-assign]
    async with browser_of(world.services()) as client:
        answer = await sign_in(client, key)
    assert (answer.status_code, "PostgreSQL cannot be read" in answer.text) == (503, True)


async def test_a_tenant_sees_nothing_of_another(world: ConsoleWorld) -> None:
    async with visiting(world, "admin", "rival") as client:
        listed = await client.get("/console/accounts")
        shown = await client.get("/console/accounts/ann")
    assert ("rival has no accounts yet" in listed.text, shown.status_code) == (True, 404)


async def test_the_documents_of_the_api_tell_no_page(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        document = (await client.get("/openapi.json")).json()
    assert [path for path in document["paths"] if path.startswith("/console")] == []


async def test_without_a_console_there_is_none(world: ConsoleWorld) -> None:
    async with browser_of(world.services(console=None)) as client:
        answer = await client.get("/console")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("wanted", "page"),
    [
        ("customer:nobody", "/console/accounts?prefix=customer%3Anobody"),
        ("customer:", "/console/accounts?prefix=customer%3A"),
        ("", "/console/accounts"),
        ("<b>", "/console/accounts?prefix=%3Cb%3E"),
        ("payments/0/41", "/console/letters/payments/0/41"),
        (event_id("d1").upper(), f"/console/events/{event_id('d1')}"),
    ],
)
def test_a_search_leads_to_what_it_names(wanted: str, page: str) -> None:
    assert found_at(wanted) == page


@pytest.mark.parametrize(
    ("wanted", "page"),
    [("ann", "/console/accounts/ann"), ("an", "/console/accounts?prefix=an"), (event_id("d1"), None)],
)
async def test_a_search_for_an_account_that_is_there_leads_to_it(
    world: ConsoleWorld, wanted: str, page: str | None
) -> None:
    async with visiting(world) as client:
        answer = await client.get("/console/search", params={"q": wanted})
    assert answer.headers["location"] == (page or f"/console/events/{wanted}")


def test_what_is_not_ours_is_what_the_list_says() -> None:
    listed = dict(
        re.findall(r"^\| `([\w.]+)` \|.*`([0-9a-f]{64})` \|$", (STATIC / "README.md").read_text(), re.M)
    )
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in STATIC.glob("*.min.*")}
    assert listed == found
    assert {path.name for path in STATIC.glob("*.*") if path.suffix in (".js", ".css", ".svg")} == set(TYPES)


async def test_what_nobody_expected_is_a_page_with_a_number(world: ConsoleWorld) -> None:
    def broken() -> str:
        raise RuntimeError("a secret")

    async with visiting(world, console=world.console(runbook=broken)) as client:
        answer = await client.get("/console/runbook", headers={"X-Request-Id": "abc"})
    assert (answer.status_code, "abc" in answer.text, "a secret" in answer.text) == (500, True, False)
    assert "request.failed" in world.signals.names()
