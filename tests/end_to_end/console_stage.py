"""A console with everything behind it, something of each kind to see, a database that can be cut off, and a browser."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from msgspec.structs import replace
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.system import SystemClock, new_event_id
from ledger.application.access import Scope
from ledger.application.api_keys import KeyText, KeyWish, scopes_of
from ledger.application.payment_ports import Change, Line, PaymentKey
from ledger.application.reports import verification_of
from ledger.bootstrap.keys import api_keys
from ledger.bootstrap.providers import providers_in
from ledger.domain.payments.saga import State
from ledger.domain.payments.steps import Verdict as SagaVerdict
from streams.transport.publisher import Outgoing
from streams.verifying import keep_verdict
from tests.end_to_end.books import WAIT_S, Books, event, id_of
from tests.end_to_end.rolled import until_rolled

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TRACE = "0af7651916cd43dd8448eb211c80319c"
POISON = b'{"specversion":"1.0","type":"transfer.post.v1","tenant":"acme","data":{"amount":12.50}}'
STUCK = "the provider did not say in time what became of the charge"


def chromium() -> str | None:
    """Find a browser on this machine."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


class LineToDatabase:
    """A way to PostgreSQL that can be cut."""

    def __init__(self, dsn: str) -> None:
        self._to = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.is_cut = False

    async def start(self) -> str:
        """Listen; gives the address by which the database is reached through here."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user, _, _ = self._to.netloc.rpartition("@")
        return self._to._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def cut(self) -> None:
        """Close what is open, and let nothing through."""
        self.is_cut = True
        for each in list(self._open):
            each.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open -= ends
            for each in ends:
                each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class ConsoleStage:
    """What is served at `url`, and what there is to see."""

    url: str
    books: Books
    line: LineToDatabase
    admin: KeyText
    reader: KeyText
    payment: str
    transaction: str
    refused: str

    def pages(self) -> Sequence[str]:
        """Name every page, with something on it."""
        return (
            "",
            "/pipeline",
            "/accounts",
            "/accounts/customer:ann?asset=USD/2",
            "/accounts/external:bank",
            "/payments",
            "/payments?state=needs_operator",
            f"/payments/acme/{self.payment}",
            f"/events/{self.transaction}",
            f"/events/{self.refused}",
            "/letters",
            f"/letters/{self.books.settings.payments_topic}/{{partition}}/{{offset}}",
            "/trial-balance",
            "/reports",
            "/reports/verification.json",
            "/runbook",
            "/nowhere",
        )


@dataclass
class Seen:
    """What a browser said of itself, and whom it asked."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"fault: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text} at {message.location['url']}")

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)


@asynccontextmanager
async def console_stage(kafka: str, dsn: str, name: str, directory: Path) -> AsyncIterator[ConsoleStage]:
    """Start posting, windows and the API, and let something of each kind happen."""
    async with AsyncExitStack() as stack:
        books = await stack.enter_async_context(Books.open(kafka, dsn, name, directory))
        line = LineToDatabase(dsn)
        stack.push_async_callback(line.stop)
        through = await line.start()
        await stack.enter_async_context(books.worker())
        windows = await stack.enter_async_context(books.worker(arguments=("worker", "roll-windows")))
        await _until(lambda: bool(windows.port))
        api = await stack.enter_async_context(
            books.worker(
                arguments=("api",),
                LEDGER_POSTGRES_DSN=through,
                LEDGER_API_PORT="0",
                LEDGER_WINDOWS_URLS=f"http://127.0.0.1:{windows.port}",
                LEDGER_CONSOLE_OPERATORS="acme",
            )
        )
        admin, reader = await _key(books, "admin"), await _key(books, "read")
        payment, transaction, refused = await _live(books)
        await _verified(books)
        await until_rolled(books)
        await _until(lambda: bool(api.port))
        yield ConsoleStage(
            f"http://127.0.0.1:{api.port}", books, line, admin, reader, payment, transaction, refused
        )


async def _key(books: Books, scope: Scope) -> KeyText:
    settings = books.settings
    async with api_keys(settings, str(settings.postgres_dsn), key_secret=str(settings.key_secret)) as keys:
        return (await keys.create(KeyWish("acme", "tests", scopes_of([scope])), "tests"))[0]


def moved(debit: str, credit: str, amount: int, **more: object) -> bytes:
    data = {"debit": debit, "credit": credit, "amount": amount, "asset": "USD/2", **more}
    return event("transfer.post.v1", data)


async def _live(books: Books) -> tuple[str, str, str]:
    """Let things happen; gives a payment that is stuck, a transaction, and an event that was refused."""
    await _provider(books)
    transaction = traced(
        moved("external:bank", "customer:ann", 125_000, reference="salary", metadata={"by": "hr"})
    )
    spent = [moved("customer:ann", f"merchant:{name}", 1_250 + 10 * name) for name in range(30)]
    refused = moved("customer:bob", "merchant:1", 99)
    hold = event(
        "hold.place.v1",
        {
            "debit": "customer:ann",
            "credit": "merchant:1",
            "amount": 5_000,
            "asset": "USD/2",
            "reference": "hotel",
        },
    )
    payment = new_event_id()
    paid = {"debit": "customer:ann", "credit": "shop", "amount": 2_500, "asset": "USD/2", "provider": "bank"}
    await books.send([transaction])
    await books.until_handled(1)
    await books.send([*spent, refused, hold, event("payment.request.v1", paid, payment)])
    await books.publisher.publish([Outgoing(books.settings.payments_topic, b"poison", POISON)])
    await books.until_handled(len(spent) + 5)
    await _stuck(books, payment)
    return payment, id_of(transaction), id_of(refused)


def traced(value: bytes) -> bytes:
    return value[:-1] + f',"traceparent":"00-{TRACE}-b7ad6b7169203331-01"}}'.encode()


async def _provider(books: Books) -> None:
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    try:
        settings = {"url": "http://127.0.0.1:1", "hosts": ["127.0.0.1"], "secrets": ["x" * 32]}
        await providers_in(pool, books.settings).put("acme", "bank", settings)
    finally:
        await pool.close()


async def _stuck(books: Books, payment: str) -> None:
    """Bring a payment to where only an operator can help."""
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    try:
        store = PostgresPayments(pool)
        (before,) = await store.load([PaymentKey("acme", payment)])
        again_at = SystemClock().now() + timedelta(hours=1)
        saga = replace(before.saga, state=State.NEEDS_OPERATOR, stuck=STUCK, attempts=2, next_at=again_at)
        line = Line(
            at=SystemClock().now(),
            happening="unknown",
            verdict=SagaVerdict.MOVED,
            state=saga.state,
            attempt=2,
            detail="no answer within 10 s",
        )
        await store.apply([Change(before, saga, line)])
    finally:
        await pool.close()


async def _verified(books: Books) -> None:
    """Keep a verdict as `ledger verify` does."""
    begun = monotonic()
    verdict = await books.verdict()
    kept = verification_of(verdict, SystemClock().now(), monotonic() - begun, books.settings.payments_topic)
    await keep_verdict(books.settings, kept)


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = monotonic() + WAIT_S
    while not is_so():
        assert monotonic() < deadline
        await asyncio.sleep(0.05)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Start the browser that is on this machine."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield started
        finally:
            await started.close()


async def signed_in(context: BrowserContext, stage: ConsoleStage, key: KeyText, seen: Seen) -> Page:
    """Open a page, and sign in as a person does."""
    page = await context.new_page()
    seen.watch(page)
    await page.goto(f"{stage.url}/console")
    await page.get_by_label("Key", exact=True).fill(str(key))
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Overview").wait_for()
    return page
