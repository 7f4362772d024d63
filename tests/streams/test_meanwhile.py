"""What is begun meanwhile is sent before anything else is done, on either kind of loop."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from ledger.application.meanwhile import meanwhile
from streams.loops import new_event_loop

Loops = Callable[[], asyncio.AbstractEventLoop]


async def asks(writer: asyncio.StreamWriter, answer: "asyncio.Future[str]") -> str:
    writer.write(b"a request")
    return await answer


async def heard_inside() -> tuple[bytes, str]:
    """Give what the other end has when the block runs, without a wait in it, and the answer."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        _, writer = await asyncio.open_connection(sock=ours)
        answer = asyncio.get_running_loop().create_future()
        async with meanwhile(asks(writer, answer)) as asked:
            heard = theirs.recv(100)
            answer.set_result("an answer")
        writer.close()
        await writer.wait_closed()
        return heard, asked.result()


@pytest.mark.parametrize("loops", [new_event_loop, asyncio.SelectorEventLoop])
def test_request_is_sent_before_the_block_runs(loops: Loops) -> None:
    with asyncio.Runner(loop_factory=loops) as runner:
        assert runner.run(heard_inside()) == (b"a request", "an answer")
