"""Connections that broke a moment ago: aiokafka writes to them, and over uvloop does not know the refusal.

asyncio's own transports take bytes that go nowhere without a word. uvloop's raise RuntimeError, which aiokafka does
not expect: a producer's sender ends by it, and nothing is sent by that producer any more.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_SENDING = ("send", "_send_sasl_token")


def tell_broken_connections() -> None:
    """Have aiokafka's clients of this process see such a connection as broken; doing it again changes nothing."""
    for name in _SENDING:
        method = getattr(AIOKafkaConnection, name)
        if not hasattr(method, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _telling(method))


def _telling(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def told(connection: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connection, *arguments, **options)
        except RuntimeError as error:
            if connection._writer is None or not connection._writer.transport.is_closing():
                raise
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{connection.host}:{connection.port}: {error}") from error

    return told
