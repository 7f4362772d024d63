"""Looking up the names of providers: one whose resolver hangs is alone with it."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from aiohttp.abc import ResolveResult

from ledger.adapters.provider.addresses import AddressRefusedError, GuardedResolver
from ledger.adapters.provider.lookups import HANGS_S, KEPT_S, THREADS_MAX, Lookups, look_up_by_system
from ledger.application.providers import Accepted, RetryLater
from tests.ports.providers.conftest import Opener
from tests.provider import charge

SYSTEM = socket.getaddrinfo


class Names:
    """A resolver by hand: it hangs until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.goes_on = threading.Event()
        self.address: str | None = "203.0.113.7"
        self.now = 0.0
        self.lookups = Lookups(lambda: self.now, self.look_up)

    def look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        self.asked.append(host)
        self.goes_on.wait(30)
        if self.address is None:
            raise socket.gaierror("no such name")
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def hosts(self) -> list[str]:
        return [each["host"] for each in await self.lookups.resolve("pay.example", 443)]

    async def given_up(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.hosts(), 0.01)


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.goes_on.set()


async def test_those_who_ask_at_once_share_an_answer(names: Names) -> None:
    asking = [asyncio.create_task(names.hosts()) for _ in range(50)]
    await asyncio.sleep(0)
    names.goes_on.set()
    assert await asyncio.gather(*asking) == [["203.0.113.7"]] * 50
    assert len(names.asked) == 1


async def test_an_answer_is_used_again_for_a_while(names: Names) -> None:
    names.goes_on.set()
    await names.hosts()
    names.address, names.now = "203.0.113.8", KEPT_S - 1
    assert await names.hosts() == ["203.0.113.7"]
    names.now = KEPT_S
    assert await names.hosts() == ["203.0.113.8"]


async def test_a_failure_is_not_kept(names: Names) -> None:
    names.goes_on.set()
    names.address = None
    with pytest.raises(socket.gaierror, match="no such name"):
        await names.hosts()
    names.address = "203.0.113.7"
    assert await names.hosts() == ["203.0.113.7"]


async def test_lookups_that_hang_do_not_pile_up(names: Names) -> None:
    for _ in range(10):
        await names.given_up()
        names.now += HANGS_S
    assert len(names.asked) == THREADS_MAX
    names.goes_on.set()
    assert await names.hosts() == ["203.0.113.7"]


async def test_what_is_remembered_is_checked_again(names: Names) -> None:
    names.goes_on.set()
    names.address = "10.0.0.1"
    guarded = GuardedResolver([], names.lookups)
    for _ in range(2):
        with pytest.raises(AddressRefusedError):
            await guarded.resolve("pay.example", 443)


async def test_the_system_knows_this_machine() -> None:
    lookups = Lookups(time.monotonic)
    [found, *_] = await lookups.resolve("localhost", 80)
    assert (found["hostname"], found["host"], found["port"]) == ("localhost", "127.0.0.1", 80)
    with pytest.raises(OSError, match="label"):
        await lookups.resolve("x" * 70 + ".example", 80)
    assert all(each["host"] for each in look_up_by_system("::1", 80, socket.AF_UNSPEC))


async def test_a_name_that_hangs_holds_up_no_other_provider(
    opened: Opener, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def hangs(host: str, *more: object, **named: object) -> object:
        if host == "hangs.example":
            goes_on.wait(30)
            raise socket.gaierror("no")
        return SYSTEM(host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    url = opened.simulator.url
    bad = await opened(
        url="http://hangs.example:9", hosts=["hangs.example"], connect_timeout_s=0.5, total_timeout_s=1.0
    )
    await opened.simulator.follow()
    good = await opened(url=url.replace("127.0.0.1", "localhost"), hosts=["localhost"])
    hung = [asyncio.create_task(bad.charge(charge(f"{tenant}-{number}", tenant))) for number in range(40)]
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    assert isinstance(await good.charge(charge(f"{tenant}-good", tenant)), Accepted)
    assert time.monotonic() - begun < 0.4
    assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    assert all(isinstance(each, RetryLater) for each in await asyncio.gather(*hung))
    goes_on.set()
