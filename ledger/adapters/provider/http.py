"""A provider over HTTP: bounded, signed, behind a breaker; whatever happens is an answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from ledger.adapters.provider.bulkhead import Bulkhead, NoSlotError
from ledger.adapters.provider.calling import Caller, NoReplyError, NotSentError, open_session
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.provider.wire import Reply, encode_request, read_answer, read_status
from ledger.application.breaker import Breaker, BreakerState, BreakerView, Monotonic, Permit
from ledger.application.ports import Clock
from ledger.application.providers import (
    Answer,
    AnyAnswer,
    ChargeRequest,
    MoneyRequest,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
    kind_of,
)
from ledger.observability.signals import Signals

T = TypeVar("T", bound=AnyAnswer)
Ask = Callable[[], Awaitable[Reply]]

_OPEN = RetryLater("the breaker is open")


class HttpProvider:
    """One provider; see docs/providers.md for what is sent and what is understood."""

    def __init__(
        self, rules: ProviderRules, caller: Caller, clock: Clock, monotonic: Monotonic, signals: Signals
    ) -> None:
        self.name = rules.name
        self._who = {"tenant": rules.tenant, "provider": rules.name}
        self._caller = caller
        self._clock = clock
        self._monotonic = monotonic
        self._signals = signals
        self._bulkhead = Bulkhead(rules.slots, rules.slot_wait_s)
        self._breaker = Breaker(rules.breaker, monotonic, self._breaker_changed)

    @property
    def state(self) -> BreakerState:
        """The state of its breaker now."""
        return self._breaker.state

    def view(self) -> BreakerView:
        """How its breaker stands."""
        return self._breaker.view()

    async def charge(self, request: ChargeRequest) -> Answer:
        return await self._move("charge", "/v1/charges", request)

    async def refund(self, request: RefundRequest) -> Answer:
        return await self._move("refund", "/v1/refunds", request)

    async def status(self, request: MoneyRequest) -> StatusAnswer:
        return await self._told(
            "status",
            lambda: self._caller.get(f"/v1/operations/{request.idempotency_key}", request.traceparent),
            lambda reply: read_status(reply, request, self._clock.now()),
        )

    async def _move(self, step: str, path: str, request: MoneyRequest) -> Answer:
        body = encode_request(request)
        return await self._told(
            step,
            lambda: self._caller.post(path, body, request.idempotency_key, request.traceparent),
            lambda reply: read_answer(reply, request, self._clock.now()),
        )

    async def _told(self, call: str, ask: Ask, read: Callable[[Reply], T]) -> T | RetryLater | Unknown:
        begun = self._monotonic()
        answer = await self._bounded(ask, read)
        self._signals.emit(
            "provider.called",
            **self._who,
            call=call,
            answer=kind_of(answer),
            seconds=self._monotonic() - begun,
        )
        return answer

    async def _bounded(self, ask: Ask, read: Callable[[Reply], T]) -> T | RetryLater | Unknown:
        # Asked before a slot is waited for: calls that hang hold them all for a while after it has opened.
        if self._breaker.state is BreakerState.OPEN:
            return _OPEN
        try:
            async with self._bulkhead.slot():
                permit = self._breaker.permit()
                return _OPEN if permit is None else await self._asked(permit, ask, read)
        except NoSlotError as fault:
            return RetryLater(str(fault))

    async def _asked(self, permit: Permit, ask: Ask, read: Callable[[Reply], T]) -> T | RetryLater | Unknown:
        try:
            reply = await ask()
            answer = read(reply)
        except (NotSentError, NoReplyError) as fault:
            self._breaker.failed(permit)
            detail = str(fault)
            return RetryLater(detail) if isinstance(fault, NotSentError) else Unknown(detail)
        except asyncio.CancelledError:
            # Cut by the deadline of who asked, so it took too long.
            self._breaker.failed(permit)
            raise
        except Exception as fault:
            # A fault of ours: its payments must not wait for their limits without a word about why.
            self._breaker.failed(permit)
            self._signals.emit("provider.call_broke", **self._who, fault=repr(fault))
            return Unknown(f"the call broke: {type(fault).__name__}")
        except BaseException:
            self._breaker.given_back(permit)
            raise
        self._judge(permit, reply, answer)
        return answer

    def _judge(self, permit: Permit, reply: Reply, answer: AnyAnswer) -> None:
        is_refused = reply.code in (401, 403)
        odd = isinstance(answer, Unknown) and reply.code not in (202, 429)
        bad = odd or is_refused or reply.code >= 500
        (self._breaker.failed if bad else self._breaker.succeeded)(permit)
        if is_refused:
            self._signals.emit("provider.refused_us", **self._who, code=reply.code)

    def _breaker_changed(self, before: BreakerState, after: BreakerState) -> None:
        self._signals.emit("provider.breaker_changed", **self._who, before=before.value, after=after.value)


@asynccontextmanager
async def open_provider(
    rules: ProviderRules, clock: Clock, monotonic: Monotonic, signals: Signals
) -> AsyncIterator[HttpProvider]:
    """Open a provider with connections of its own; leaving closes them."""
    async with open_session(rules) as session:
        yield HttpProvider(rules, Caller(rules, session, clock), clock, monotonic, signals)
