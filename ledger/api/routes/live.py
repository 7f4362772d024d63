"""Live balances: server-sent events, one for each change, for as long as the client, the key and the process last."""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ledger.api.access import KeyWithScope, Reader, services_of
from ledger.api.answers import balance_members
from ledger.api.documented import READING, Responses, responses
from ledger.api.facts import facts_of
from ledger.api.parameters import AccountInPath, Asset, Parameters
from ledger.api.problems import (
    AccountNotFoundError,
    NotAvailableError,
    ProblemError,
    RateLimitedError,
    TooManyStreamsOfTenantError,
)
from ledger.api.services import Services
from ledger.api.streams import too_many
from ledger.application.access import Caller
from ledger.application.faults import OverloadedError, TransientFaultError
from ledger.application.live_balances import LiveBalances, Watch
from ledger.application.open_streams import TooManyStreamsError
from ledger.application.reading import AccountView, BalanceView

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
SEND_S = 10.0
"""A client that takes nothing for so long is dropped."""
RETRY_MS = 2000
SEEN_ASSETS_MAX = 100
"""Of more assets, those beyond are told again when a client comes back."""

Seen = dict[str, str]
"""By asset, what of it was told last: `version.held`."""

_encoder = msgspec.json.Encoder()


class StreamParameters(Parameters):
    asset: Asset | None = Field(None, description="Only this asset.", examples=["USD/2"])


def _documented() -> Responses:
    problems = (
        *READING,
        AccountNotFoundError,
        NotAvailableError,
        RateLimitedError,
        TooManyStreamsOfTenantError,
    )
    documented = responses(
        None, *problems, says="Events, until the client goes, the key ends or the API stops."
    )
    del documented[200]["model"]
    documented[200]["content"] = {MEDIA_TYPE: {"schema": {"type": "string"}}}
    return documented


@router.get(
    "/{account}/stream",
    operation_id="streamBalances",
    summary="Follow the balances of an account",
    responses=_documented(),
    response_class=Response,
)
async def stream_balances(
    request: Request, account: AccountInPath, caller: Reader, query: Annotated[StreamParameters, Query()]
) -> Response:
    """Follow an account: first a `snapshot` of its balances, then a `balance` for each that has changed.

    Every value is read from the books. Changes within a tenth of a second come as one. After a break, send
    `Last-Event-ID`: what was told already is left out.
    """
    services = services_of(request)
    if services.live is None:
        raise NotAvailableError("Streams are not served here.")
    return LiveStream(services, services.live, caller, account, query.asset, request)


class LiveStream(Response):
    """One open stream. It holds nothing that is not given back when the answer ends, however it ends."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        services: Services,
        live: LiveBalances,
        caller: Caller,
        account: str,
        asset: str | None,
        request: Request,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._services = services
        self._live = live
        self._caller = caller
        self._account = account
        self._asset = asset
        self._request = request
        self._seen = read_seen(request.headers.get("last-event-id", ""))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._live.watching(self._caller, self._account) as watch:
                first = await watch.next()
                if first is None:
                    raise AccountNotFoundError(f"There is no account {self._account}.")
                # It waits from here on, and takes no place from those that are answered.
                facts_of(scope).release()
                await self._stream(first, watch, receive, send)
        except TooManyStreamsError as error:
            raise too_many(error) from error

    async def _stream(self, first: AccountView, watch: Watch, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        draining = asyncio.ensure_future(self._services.draining.begun.wait())
        try:
            async with asyncio.timeout(None) as deadline:
                sending = _Sending(send, deadline)
                await sending.begin()
                await sending.text(f"retry: {RETRY_MS}\n\n" + self._snapshot(first))
                await self._follow(watch, sending, {gone, draining})
                await sending.end()
        except TimeoutError:
            self._services.signals.emit("stream.dropped", tenant=self._caller.tenant)
        finally:
            gone.cancel()
            draining.cancel()

    async def _follow(self, watch: Watch, sending: "_Sending", ends: set["asyncio.Future[Any]"]) -> None:
        """Send what changes until the client has gone, the process ends, or the key is no longer good."""
        clock = asyncio.get_running_loop().time
        news = asyncio.ensure_future(watch.next())
        look_at = clock() + HEARTBEAT_S
        try:
            while not any(end.done() for end in ends):
                await asyncio.wait(
                    {news, *ends}, timeout=look_at - clock(), return_when=asyncio.FIRST_COMPLETED
                )
                if news.done():
                    view = news.result()
                    news = asyncio.ensure_future(watch.next())
                    await sending.text(self._changes(view))
                if clock() >= look_at:
                    look_at += HEARTBEAT_S
                    if not await self._is_welcome():
                        return
                    # What a missed notice hid, or a hold under another key, shows now.
                    watch.ask()
                    await sending.text(": still here\n\n")
        finally:
            news.cancel()

    async def _is_welcome(self) -> bool:
        try:
            await KeyWithScope("read")(self._request)
        except (RateLimitedError, TransientFaultError, OverloadedError):
            return True  # nothing is known against it
        except ProblemError:
            return False
        return True

    def _snapshot(self, view: AccountView) -> str:
        """Tell all balances; after a break only those that have changed since, and nothing if none has."""
        if self._seen:
            return self._changes(view)
        balances = self._balances(view)
        self._seen = {balance.asset: _mark(balance) for balance in balances}
        document = {
            "account": view.account,
            "balances": [{**balance_members(each), "as_of": each.as_of} for each in balances],
        }
        return self._event("snapshot", document)

    def _changes(self, view: AccountView | None) -> str:
        told = []
        for balance in self._balances(view) if view is not None else ():
            if self._seen.get(balance.asset) != _mark(balance):
                self._seen[balance.asset] = _mark(balance)
                document = {"account": balance.account, **balance_members(balance), "as_of": balance.as_of}
                told.append(self._event("balance", document))
        return "".join(told)

    def _balances(self, view: AccountView) -> list[BalanceView]:
        return [each for each in view.balances if self._asset in (None, each.asset)]

    def _event(self, name: str, document: dict[str, Any]) -> str:
        return f"id: {write_seen(self._seen)}\nevent: {name}\ndata: {_encoder.encode(document).decode()}\n\n"


class _Sending:
    """The answer's way out; each send has its time, for a client that takes nothing must not be waited for."""

    def __init__(self, send: Send, deadline: asyncio.Timeout) -> None:
        self._send = send
        self._deadline = deadline

    async def begin(self) -> None:
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._bounded({"type": "http.response.start", "status": 200, "headers": headers})

    async def text(self, text: str) -> None:
        if text:
            body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
            await self._bounded(body)

    async def end(self) -> None:
        await self._bounded({"type": "http.response.body", "body": b"", "more_body": False})

    async def _bounded(self, message: dict[str, Any]) -> None:
        self._deadline.reschedule(asyncio.get_running_loop().time() + SEND_S)
        await self._send(message)
        self._deadline.reschedule(None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _mark(balance: BalanceView) -> str:
    return f"{balance.version}.{balance.held}"


def write_seen(seen: Seen) -> str:
    """Write an event's id: what the client knows after it."""
    return ",".join(f"{asset}:{mark}" for asset, mark in list(seen.items())[:SEEN_ASSETS_MAX])


def read_seen(text: str) -> Seen:
    """Read `Last-Event-ID`; one that is none of ours tells nothing, and all is told anew."""
    pairs = [each.partition(":") for each in text.split(",")[:SEEN_ASSETS_MAX]]
    return {asset: mark for asset, _, mark in pairs if asset and mark}
