"""One signed call to a provider over HTTP, told from its faults: sent, or certainly not."""

from time import monotonic
from urllib.parse import urlsplit

import aiohttp
from aiohttp import ClientResponse, ClientSession
from yarl import URL

from ledger.adapters.provider.addresses import GuardedResolver
from ledger.adapters.provider.lookups import Lookups
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.provider.wire import Reply
from ledger.application.ports import Clock
from ledger.contract.signature import sign


class NotSentError(Exception):
    """No connection came about, so the provider saw nothing of the call."""


class NoReplyError(Exception):
    """The call was sent, in part at least, and no whole answer came back."""


def open_session(rules: ProviderRules) -> ClientSession:
    """Open a session of one provider: its own connections, no cookies, no proxy, no decompression."""
    connector = aiohttp.TCPConnector(
        limit=rules.slots,
        # Its own cache, if it had one, would be of addresses that are not checked again.
        resolver=GuardedResolver(rules.allowed, Lookups(monotonic)),
        use_dns_cache=False,
        ssl=True,
    )
    timeout = aiohttp.ClientTimeout(
        total=rules.total_timeout_s, connect=rules.connect_timeout_s, sock_connect=rules.connect_timeout_s
    )
    return ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "stream-ledger"},
    )


class Caller:
    """Signs and sends, and reads no more of an answer than is allowed."""

    def __init__(self, rules: ProviderRules, session: ClientSession, clock: Clock) -> None:
        self._rules = rules
        self._session = session
        self._clock = clock
        parts = urlsplit(rules.url)
        self._origin, self._prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")

    async def post(
        self, path: str, body: bytes, idempotency_key: str, traceparent: str | None = None
    ) -> Reply:
        """Send a body under a key; raises NotSentError or NoReplyError."""
        more = {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
        return await self._call("POST", path, body, more | _traced(traceparent))

    async def get(self, path: str, traceparent: str | None = None) -> Reply:
        """Ask; raises NotSentError or NoReplyError."""
        return await self._call("GET", path, b"", _traced(traceparent))

    async def _call(self, method: str, path: str, body: bytes, more: dict[str, str]) -> Reply:
        target = self._prefix + path
        now_s = int(self._clock.now().timestamp())
        headers = more | sign(self._rules.secret, f"{method} {target}", body, now_s=now_s)
        # Encoded already: what is sent has to be what was signed.
        url = URL(self._origin + target, encoded=True)
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                return Reply(response.status, response.headers.get("Retry-After"), await self._read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            raise NotSentError(type(fault).__name__) from fault
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            raise NoReplyError(type(fault).__name__) from fault

    async def _read(self, response: ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._rules.answer_bytes_max:
                response.close()
                raise NoReplyError(f"an answer of more than {self._rules.answer_bytes_max} bytes")
        return bytes(body)


def _traced(traceparent: str | None) -> dict[str, str]:
    return {} if traceparent is None else {"traceparent": traceparent}
