"""The flow in one process: what is submitted is posted into the world's books, and its outcomes are heard."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.kafka.feed import read_notice
from ledger.api.app import create_app
from ledger.api.services import Services
from ledger.application.access import Scope
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.application.live_balances import LiveBalances
from ledger.application.outcome_feed import OutcomeFeed
from ledger.application.submit_events import Submission, SubmitEvents
from ledger.contract.outgoing import outcome_message
from ledger.domain.commands import Event
from tests.api.world import World
from tests.builders import fetched


class PostingLog:
    """A log whose events are posted at once, unless it holds them back, or is away."""

    def __init__(self, world: World, feed: OutcomeFeed) -> None:
        self.world, self.feed = world, feed
        self.fault: type[Exception] | None = None
        self.holds_back = False
        self.held: list[Event] = []

    async def publish(self, submissions: Sequence[Submission]) -> None:
        if self.fault is not None:
            raise self.fault("as told")
        self.held += [each.event for each in submissions]
        if not self.holds_back:
            await self.post_held()

    async def post_held(self) -> None:
        held, self.held = self.held, []
        for outcome in await self.world.office.post(*held):
            notice = read_notice(fetched(outcome_message(outcome)))
            assert notice is not None
            self.feed.hear(notice)


class Flow:
    """A world with its log, feed and streams."""

    AWAY, REFUSED = LogAwayError, RecordRefusedError

    def __init__(self, world: World) -> None:
        self.world = world
        self.feed = OutcomeFeed()
        self.feed.is_following = True
        self.log = PostingLog(world, self.feed)

    def services(self, **given: Any) -> Services:
        services = self.world.services()
        limits = {"streams_max": 4, "tenant_streams_max": 3}
        live = LiveBalances(services.balances, self.feed, services.signals, push_s=0.01, **limits)
        submit = SubmitEvents(self.log, self.feed)
        return self.world.services(**{"submit": submit, "live": live} | given)


class Streaming:
    """One request over bare ASGI, because its answer has no end of its own."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()
        self.task: asyncio.Task[None]
        self._text = ""

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.takes.wait()
        self.sent.put_nowait(message)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.sent.get()

    async def event(self) -> str:
        """Wait for the next event, without its comments."""
        while "\n\n" not in self._text:
            self._text += (await self.next())["body"].decode()
        event, _, self._text = self._text.partition("\n\n")
        return await self.event() if event.startswith((":", "retry")) else event


@asynccontextmanager
async def streaming(
    flow: Flow, services: Services, path: str, *scopes: Scope, tenant: str = "acme", last_id: str = ""
) -> AsyncIterator[Streaming]:
    key = await flow.world.key(*(scopes or ("read",)), tenant=tenant)
    path, _, query = path.partition("?")
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"last-event-id", last_id.encode())]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
    }
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
    scope |= {"scheme": "http", "root_path": "", "client": ("1", 1), "server": ("1", 2)}
    stream = Streaming()
    app: Any = create_app(services)
    stream.task = asyncio.create_task(app(scope, stream.receive, stream.send))
    try:
        yield stream
    finally:
        stream.gone.set()
        stream.takes.set()
        async with asyncio.timeout(5):
            await stream.task
