"""Where planted bugs grow: a process for each, forked from one that has imported all, with the tests to catch it.

Run as a script it reads a line of JSON for each bug, and answers with one.
"""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tests.planted.bug import Bug, nothing

HERE = Path(__file__).parent
FAILED = 1
"""What pytest says where tests ran and some failed; everything else is no catch."""
PLUGINS = ("_hypothesis_pytestplugin", "pytest_asyncio.plugin", "pytest_timeout")
"""Those that the tests need: every other one that is installed would be imported for each bug."""
WARM = (
    "pytest",
    "hypothesis.stateful",
    *PLUGINS,
    "tests.naive",
    "tests.payment_stage",
    "tests.payment_world",
    "tests.random_events",
    "tests.window_history",
    "ledger.adapters.postgres.books",
    "ledger.adapters.postgres.tenancy",
    "ledger.api.app",
    "streams.app",
    "streams.rolling",
    "streams.advancing",
    "streams.embedded.stack",
)


class Harvest(NamedTuple):
    """What came of one bug: pytest's exit code, the first test that failed, and what was printed."""

    code: int
    caught_by: str
    said: str
    seconds: float

    @property
    def is_caught(self) -> bool:
        return self.code == FAILED and bool(self.caught_by)


class Greenhouse:
    """The process in which bugs are planted, with servers for the tests that need them."""

    def __init__(self, kafka: str, postgres: str) -> None:
        self._servers = (kafka, postgres)

    def __enter__(self) -> "Greenhouse":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.planted.running"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            self._process.terminate()

    def grow(self, bug: Any) -> Harvest:
        """Plant a bug, and run its checks until one fails."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the greenhouse has no pipes")
        wanted = {"bug": bug.name, "checks": bug.checks, "servers": self._servers}
        stdin.write(json.dumps(wanted) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer.strip():
            return Harvest(-1, "", "it ended without an answer", 0.0)
        return Harvest(**json.loads(answer))


def grow_all(
    kafka: str, postgres: str, bugs: Sequence[Bug], seen: Callable[[str, Harvest], None] | None = None
) -> dict[str, Harvest]:
    """Plant bugs, two at a time; gives what came of each by its name, in their order."""
    with (
        Greenhouse(kafka, postgres) as first,
        Greenhouse(kafka, postgres) as second,
        ThreadPoolExecutor(2) as pool,
    ):
        free = deque([first, second])

        def grow(bug: Any) -> tuple[str, Harvest]:
            greenhouse = free.popleft()
            harvest = greenhouse.grow(bug)
            free.append(greenhouse)
            if seen is not None:
                seen(bug.name, harvest)
            return bug.name, harvest

        return dict(pool.map(grow, bugs))


def _serve() -> None:
    """Fork a process for each bug that is asked for, until there are no more."""
    for module in WARM:
        importlib.import_module(module)
    for line in sys.stdin:
        wanted = json.loads(line)
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as answer:
                answer.write(json.dumps(_grow(wanted)))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            print(answer.read(), flush=True)  # noqa: T201
        os.wait()


def _grow(wanted: dict[str, Any]) -> dict[str, Any]:
    """Plant, test, tell: in a process that ends then."""
    import pytest

    from tests.planted.bugs import BUGS

    [bug] = [each for each in (nothing(BUGS), *BUGS) if each.name == wanted["bug"]]
    began, said, watcher = monotonic(), io.StringIO(), _Watcher(wanted["servers"])
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        bug.plant()
        quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        plugins = [word for plugin in PLUGINS for word in ("-p", plugin)]
        options = (*plugins, "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--timeout=60", *quiet)
        code = pytest.main([*options, *wanted["checks"]], plugins=[watcher])
    return {
        "code": int(code),
        "caught_by": "" if watcher.is_misfit else watcher.caught_by,
        "said": said.getvalue()[-4000:],
        "seconds": monotonic() - began,
    }


class _Watcher:
    """Notes the first test that fails; lends the servers that run; and lets Hypothesis stop at its first find."""

    def __init__(self, servers: tuple[str, str]) -> None:
        self._servers = servers
        self.caught_by = ""
        self.is_misfit = False

    def pytest_sessionstart(self) -> None:
        from hypothesis import Phase, settings

        from tests import conftest

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile(
            "planted", settings.get_profile("ci"), phases=phases, report_multiple_bugs=False, database=None
        )
        settings.load_profile("planted")
        vars(conftest)["EmbeddedStack"] = self._lent

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        """A bug that does not fit the code any more fails itself: that is no catch."""
        self.is_misfit = self.is_misfit or _is_misfit(call.excinfo.value, call.excinfo.traceback[-1].path)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and report.when == "call" and not self.caught_by:
            self.caught_by = report.nodeid

    def _lent(self, *given: Any, **more: Any) -> "_Lent":
        return _Lent(*self._servers)


def _is_misfit(fault: BaseException, raised_in: Path | str) -> bool:
    """Tell a bug's own fault: it is called in another way than it was, or finds in the code what is no longer there."""
    of_a_call = isinstance(fault, TypeError) and "argument" in str(fault)
    of_its_own = isinstance(fault, AttributeError | NameError | KeyError) and Path(raised_in).parent == HERE
    return of_a_call or of_its_own


class _Lent:
    """The servers of the run, as a stack that is there already, with an empty database: others leave their books."""

    def __init__(self, kafka: str, postgres_dsn: str) -> None:
        self.kafka = kafka
        self._server = postgres_dsn
        self._database = f"planted_{uuid4().hex}"
        self.postgres_dsn = urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{self._database}"))

    async def __aenter__(self) -> "_Lent":
        await self._execute(f"create database {self._database}")
        return self

    async def __aexit__(self, *given: object) -> None:
        """The servers run on."""
        await self._execute(f"drop database {self._database} with (force)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


if __name__ == "__main__":
    _serve()
