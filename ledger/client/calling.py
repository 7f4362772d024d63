"""One call to the API, until it is answered: what cannot be done now is asked again, as the answer says."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import msgspec

from ledger.client.errors import ProblemError, UnavailableError, UnreadableError, problem_of
from ledger.client.patience import patiently

CALL_S = 15.0
"""An answer may take so long, besides what was asked to be waited."""
CONNECT_S = 5.0
RETRY_AFTER_S_MAX = 3600.0


Document = TypeVar("Document")


class Caller:
    """Calls the API at `url` with a key; every call may be made again, because ids are claimed once."""

    def __init__(self, url: str, key: str, deadline_s: float) -> None:
        self._url = url.rstrip("/")
        self.deadline_s = deadline_s
        self._headers = {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(headers=self._headers)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self,
        method: str,
        path: str,
        kind: type[Document],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> Document:
        """Ask until it is answered, and read the answer as a `kind`.

        Raises ProblemError for what the API refuses, UnavailableError (BusyError, if it said so itself) for what
        it could not do until the deadline.
        """

        async def once() -> Document:
            limits = aiohttp.ClientTimeout(total=CALL_S + wait_s, connect=CONNECT_S)
            async with self.answer(
                method, path, params=query, data=body, headers=headers, timeout=limits
            ) as found:
                return read_as(kind, await found.read())

        return await patiently(once, self.deadline_s)

    @asynccontextmanager
    async def answer(self, method: str, path: str, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask once; gives an answer with 2xx, whose body is still to be read."""
        if self._session is None:
            raise RuntimeError("the client is not open: use it with `async with`")
        try:
            async with self._session.request(
                method, self._url + path, allow_redirects=False, **more
            ) as found:
                if not found.ok or found.status >= 300:
                    raise await _problem(found)
                yield found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{method} {path} was not answered: {error!r}") from error


def read_as(kind: type[Document], body: bytes | str) -> Document:
    """Read JSON of a known shape; members that are not known are ignored."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise UnreadableError(f"this is no answer of the ledger: {fault}") from fault


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Read `Retry-After`, seconds or a date; None where it is not there, or not understood."""
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else _until(parsedate_to_datetime(header), now)
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


def _until(moment: datetime, now: datetime) -> float:
    return (moment - now).total_seconds()


async def _problem(found: aiohttp.ClientResponse) -> ProblemError:
    try:
        members = read_as(dict[str, Any], await found.read())
    except UnreadableError:
        members = {"detail": f"HTTP {found.status}"}  # the page of a proxy
    if request_id := found.headers.get("X-Request-Id"):
        members.setdefault("correlation_id", request_id)
    wait_s = retry_after_s(found.headers.get("Retry-After"), datetime.now(UTC))
    return problem_of(found.status, members, wait_s)
