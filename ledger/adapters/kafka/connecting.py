"""Connecting clients to Kafka: where that fails, the fault says why, which aiokafka tells its own log alone."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.broken import tell_broken_connections

Answer = TypeVar("Answer")

PROBE_S = 3.0
ASK_AGAIN_S = 0.2
ENDING_S = 1.0
"""How long a start that is given up may take to come to its end."""


class KafkaRefusedError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka has no types
    """No server could be used: `why` says of each what was wrong with it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


async def start_client(client: Any, kafka: KafkaAccess | str) -> None:
    """Start a client of aiokafka; raises KafkaRefusedError where no server can be used, else as the client does."""
    tell_broken_connections()
    try:
        await _start(client)
    except KafkaConnectionError as error:
        why = await _refusals(kafka)
        if why is None:
            raise
        raise KafkaRefusedError(why) from error


async def started(client: Any, close: Callable[[], Awaitable[None]], kafka: KafkaAccess | str) -> Any:
    """Start a client and give it; one that does not start, or is not waited for, is closed. Raises as start_client."""
    try:
        await start_client(client, kafka)
    except BaseException:
        await close()
        raise
    return client


async def answered(ask: Callable[[], Awaitable[Answer]], within_s: float) -> Answer:
    """Ask a broker until it answers, or for so long: one that has just come up is not ready for all it is asked.

    Raises KafkaError: what asking again cannot mend at once, and the last fault when the time is over.
    """
    until = monotonic() + within_s
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable or monotonic() > until:
                raise
        await asyncio.sleep(ASK_AGAIN_S)


async def close_producer(producer: Any, within_s: float) -> None:
    """Let a producer send what it holds, for a bounded time, and close it."""
    try:
        await asyncio.wait_for(producer.stop(), within_s)
    except TimeoutError:
        await producer.client.close()


async def _start(client: Any) -> None:
    """Start a client; one that is given up meanwhile may end first, for aiokafka forgets a connection it asks on."""
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=ENDING_S)
        raise
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _refusals(kafka: KafkaAccess | str) -> str | None:
    """Try each server once more, and say what was wrong with each; None if one can be used by now."""
    options = client_options(kafka)
    found = []
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            await _ask(host, port, options)
        except (OSError, KafkaError) as error:
            found.append(f"{host}:{port}: {_told(error, options)}")
        else:
            return None
    return "; ".join(found)


async def _ask(host: str, port: int, options: dict[str, Any]) -> None:
    connection = await create_conn(host, port, request_timeout_ms=round(PROBE_S * 1000), **options)
    try:
        # A listener that wants a user says so only when it is asked for something.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _told(error: Exception, options: dict[str, Any]) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            said = error.verify_message.rstrip(".")
            return f"its certificate is not believed ({said}); LEDGER_KAFKA_CA_FILE names who vouches for it"
        case ssl.SSLError():
            return (
                f"it does not speak TLS, or not this one ({error.reason}); see LEDGER_KAFKA_SECURITY_PROTOCOL"
            )
        case SaslAuthenticationFailed():
            return f"it refuses the user {options['sasl_plain_username']}, or the password"
        case UnsupportedSaslMechanismError():
            return f"it does not take {options['sasl_mechanism']}; see LEDGER_KAFKA_SASL_MECHANISM"
        case TimeoutError():
            return f"no answer within {PROBE_S:g} s"
        case KafkaConnectionError():
            return "it hung up; it may want TLS or a user, see LEDGER_KAFKA_SECURITY_PROTOCOL"
        case _:
            return str(error) or type(error).__name__
