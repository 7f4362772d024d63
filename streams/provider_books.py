"""Where the books of providers are read from: the stack's own simulator, or files and addresses that are given."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import aiohttp

from ledger.adapters.postgres.types import Pool
from ledger.application.provider_books import BookLine, BookLineError, ProviderBook, read_book_line
from ledger.bootstrap.providers import providers_in
from ledger.config import Settings
from streams.embedded.errors import EmbeddedError
from streams.embedded.programs import PROVIDER
from streams.embedded.state import StateDirectory

RUN_LINES = 2000
SILENT_S = 30.0

Names = tuple[str, str]
"""A tenant, and what it calls a provider."""


class BookAwayError(EmbeddedError):
    """A provider does not show its book."""


async def stack_books(settings: Settings, pool: Pool) -> list[ProviderBook]:
    """Give the book of the simulator of the stack whose books `settings` lead to; nothing where none runs."""
    state = StateDirectory(settings.state_dir)
    record = state.read() if state.supervisor() else None
    url = record.url(PROVIDER) if record else None
    if record is None or url is None or settings.postgres_dsn not in (None, record.postgres):
        return []
    found = {
        (code, name): str(each.get("url")) for code, name, each in await providers_in(pool, settings).all()
    }
    ours = {names for names, where in found.items() if where == url}
    return [ProviderBook(url, ours, _from_url(f"{url}/book/lines"), found.keys() - ours)]


def given_books(given: Sequence[tuple[Names, str]]) -> list[ProviderBook]:
    """Give the books that are in files or at addresses; several providers may share one."""
    sharing: Mapping[str, set[Names]] = defaultdict(set)
    for names, source in given:
        sharing[source].add(names)
    return [ProviderBook(source, names, _from(source)) for source, names in sharing.items()]


def _from(source: str) -> AsyncIterator[Sequence[BookLine]]:
    return _from_url(source) if source.startswith(("http://", "https://")) else _from_file(Path(source))


async def _from_file(path: Path) -> AsyncIterator[Sequence[BookLine]]:
    try:
        with path.open("rb") as file:
            lines = _numbered(file, str(path))
            while run := list(islice(lines, RUN_LINES)):
                yield run
    except OSError as fault:
        raise BookLineError(f"{path} cannot be read: {fault.strerror or fault}") from fault


async def _from_url(url: str) -> AsyncIterator[Sequence[BookLine]]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENT_S, sock_read=SILENT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, raise_for_status=True) as answer,
        ):
            run: list[BookLine] = []
            number = 0
            async for line in answer.content:
                number += 1
                run.append(read_book_line(line, f"{url}, line {number}"))
                if len(run) == RUN_LINES:
                    yield run
                    run = []
            yield run
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        told = str(fault) or type(fault).__name__
        raise BookAwayError(
            f"The book of the provider at {url} cannot be read: {told}.", "Is it running?"
        ) from fault
    except ValueError as fault:
        raise fault if isinstance(fault, BookLineError) else BookLineError(f"{url}: {fault}") from fault


def _numbered(lines: Iterable[bytes], source: str) -> Iterator[BookLine]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield read_book_line(line, f"{source}, line {number}")
