"""Submit events: check them all as the topic would, hand them to the log, and follow what becomes of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import orjson

from ledger.application.outcome_feed import Awaited, Notice, OutcomeFeed
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import RECORD_BYTES_MAX, check_address, decode_event
from ledger.contract.keys import KeyChooser
from ledger.contract.outgoing import HEADERS
from ledger.domain.commands import Event
from ledger.domain.rejection import Reason

CHECKED_AT_ONCE = 100
"""Events checked before others have their turn."""


class Submission(msgspec.Struct, frozen=True):
    """An event that was checked: `value` are the bytes that go to the log, under `key`."""

    event: Event
    key: bytes
    value: bytes


class EventLog(Protocol):
    """The log that the books are kept from."""

    async def publish(self, submissions: Sequence[Submission]) -> None:
        """Write all, in order for each key; returns when every in-sync replica has them.

        Raises LogAwayError where that did not happen in time: some may have been written. Raises
        RecordRefusedError where the log takes no record that large.
        """
        ...


class EventFault(msgspec.Struct, frozen=True):
    """What is wrong with one event; `index` counts from 0."""

    index: int
    reason: str
    detail: str


class InvalidEventsError(Exception):
    """Some of what was submitted are no events; nothing was sent."""

    def __init__(self, faults: Sequence[EventFault]) -> None:
        super().__init__(f"{len(faults)} are no events; nothing was sent")
        self.faults = faults


class WrongTenantError(Exception):
    """An event belongs to another tenant than the one who submits it; nothing was sent."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the event at {index} names another tenant than the key's; nothing was sent")
        self.index = index


class _Marked(msgspec.Struct):
    tenant: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    correlationid: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    traceparent: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_marked = msgspec.json.Decoder(_Marked)


class Marks(msgspec.Struct, frozen=True):
    """What an event of a request gets where it says nothing itself."""

    tenant: str
    correlationid: str | None = None
    traceparent: str | None = None


def with_marks(value: bytes, marks: Marks, bytes_max: int = RECORD_BYTES_MAX) -> bytes:
    """Give `value` with the marks, if it is an object without them; all other bytes stay as they are.

    Where it would become larger than `bytes_max`, it gets the tenant alone.
    """
    try:
        given = _marked.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value  # the check says what is wrong with it
    missing = {
        name: mark
        for name, mark in msgspec.structs.asdict(marks).items()
        if mark is not None and getattr(given, name) is msgspec.UNSET
    }
    marked = _with_members(value, missing)
    if len(marked) > bytes_max:
        return _with_members(value, {name: mark for name, mark in missing.items() if name == "tenant"})
    return marked


def _with_members(value: bytes, members: dict[str, str]) -> bytes:
    if not members:
        return value
    rest = value.lstrip()[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return orjson.dumps(members)[:-1] + comma + rest


def nobody_is_told() -> None:
    """Stand in where nobody wants to know that the waiting begins."""


class SubmitEvents:
    """Checks, publishes, waits. What was accepted is handled for ever after, whether anybody waits or not."""

    def __init__(self, log: EventLog, feed: OutcomeFeed, *, bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._log = log
        self._feed = feed
        self._bytes_max = bytes_max
        self._chooser = KeyChooser()

    async def check(
        self,
        tenant: str,
        values: Sequence[bytes],
        *,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> list[Submission]:
        """Check every event of a tenant; one that names no tenant gets it, and so with what else is given.

        An id may stand twice with the same content. Raises WrongTenantError, or InvalidEventsError with all
        that is wrong.
        """
        marks = Marks(tenant, correlation_id, traceparent)
        checked: list[Submission] = []
        faults: list[EventFault] = []
        for index, value in enumerate(values):
            if index % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                checked.append(self._checked(index, value, marks))
            except NotAnEventError as fault:
                faults.append(EventFault(index, fault.reason.value, fault.detail))
        faults += _reused(checked) if not faults else ()
        if faults:
            raise InvalidEventsError(faults)
        return checked

    def _checked(self, index: int, given: bytes, marks: Marks) -> Submission:
        value = with_marks(given, marks, self._bytes_max)
        event = decode_event(value, bytes_max=self._bytes_max)
        if event.tenant != marks.tenant:
            raise WrongTenantError(index)
        key = self._chooser.key_for(event, value)
        check_address(key, HEADERS)
        return Submission(event, key, value)

    async def send(
        self,
        submissions: Sequence[Submission],
        wait_s: float = 0.0,
        *,
        on_sent: Callable[[], None] = nobody_is_told,
        interrupted: asyncio.Event | None = None,
    ) -> list[Notice | None]:
        """Send each event once, then wait for the outcomes up to `wait_s`; gives those that came, in order.

        Waits no longer once `interrupted` is set. Raises LogAwayError; sending the same events again is safe.
        """
        once = list({each.event.id: each for each in submissions}.values())
        if wait_s <= 0 or not self._feed.is_following:
            await self._log.publish(once)
            return [None] * len(submissions)
        awaited = [Awaited(each.event.tenant, each.event.id, each.event.fingerprint) for each in once]
        # Registered before they are sent: an outcome may be faster than the acknowledgement.
        with self._feed.awaiting(awaited) as futures:
            await self._log.publish(once)
            on_sent()
            await _wait(futures, wait_s, interrupted)
            heard = {future.result().event_id: future.result() for future in futures if future.done()}
        return [heard.get(each.event.id) for each in submissions]


async def _wait(
    futures: Sequence["asyncio.Future[Notice]"], wait_s: float, interrupted: asyncio.Event | None
) -> None:
    if not futures:
        return
    all_heard = asyncio.ensure_future(asyncio.wait(futures))
    waiting: set[asyncio.Future[Any]] = {all_heard}
    if interrupted is not None:
        waiting.add(asyncio.ensure_future(interrupted.wait()))
    try:
        await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _reused(checked: Sequence[Submission]) -> list[EventFault]:
    """Find ids that stand for different contents: only the first of them could be posted."""
    contents: dict[str, bytes] = {}
    detail = "this id stands for an event with other content in the same request"
    return [
        EventFault(index, Reason.EVENT_ID_REUSED.value, detail)
        for index, each in enumerate(checked)
        if contents.setdefault(each.event.id, each.event.fingerprint) != each.event.fingerprint
    ]
