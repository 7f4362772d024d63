"""A standby of the books: made by pg_basebackup, followed by streaming, and promoted when the primary has died."""

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

from loadtests.chaos.proxy import Proxy
from loadtests.chaos.servers import LOOPBACK, address_in, moved, postgres
from loadtests.chaos.stage import Stage
from streams.embedded.account import unprivileged
from streams.embedded.part import bare
from streams.embedded.postgres import USER, programs
from streams.embedded.processes import run_tool
from streams.embedded.state import StateDirectory

PASSWORD = "postgres_password"  # noqa: S105 - what it is called, not what it is
CAUGHT_UP_S = 60.0
_STREAMING = "select sync_state from pg_stat_replication where state = 'streaming' and application_name = $1"


class Standby:
    """One standby of the present primary; what it is sent goes through a proxy of its own."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.name = f"postgres-standby-{number}"
        self._stage = stage
        self._home = StateDirectory(stage.state.path / self.name)
        self._home.make()
        self._home.secret(PASSWORD, lambda: urlsplit(stage.dsn).password or "")
        self._server = postgres(self._home, stage.wishes.postgres)
        sent = (LOOPBACK, self._home.port("replication"))
        self.replication = Proxy(f"{self.name}-replication", sent, address_in(stage.dsn))

    async def start(self, *, synchronous: bool) -> None:
        """Copy the primary, follow it, and have caught up; raises TimeoutError."""
        await self._let_in()
        await self.replication.start()
        await self._copy()
        part = self._server.part()
        await self._stage.crew.start(replace(part, name=self.name))
        if synchronous:
            await self._settings("alter system set synchronous_standby_names = '*'")
        await self._until("sync" if synchronous else "async")

    async def promote(self) -> None:
        """Make it the primary, and lead everybody to it. The old one must have died."""
        async with asyncio.timeout(CAUGHT_UP_S):
            own = moved(self._stage.dsn, address_in(self._server.dsn))
            await self._stage.sql_at(own, "select pg_promote()")
        proxy = self._stage.proxies["postgres"]
        proxy.server = address_in(self._server.dsn)
        proxy.reset()
        await self.replication.stop()
        self._stage.primary = self.name

    async def _let_in(self) -> None:
        """Let a standby connect: the settings of the embedded server let in clients only."""
        home = self._stage.data_of(self._stage.primary)
        rules = home / "pg_hba.conf"
        rules.write_text(f"{rules.read_text()}host replication all 127.0.0.1/32 scram-sha-256\n")
        await self._settings()

    async def _copy(self) -> None:
        fresh, data = self._home.postgres / "data.new", self._home.postgres / "data"
        fresh.mkdir(mode=0o700)
        program = programs() / "pg_basebackup"
        account = unprivileged(program, data)
        if account is not None:
            account.own(fresh)
        host, port = self.replication.listens
        where = f"host={host} port={port} user={USER} application_name={self.name}"
        command = [
            str(program),
            f"--pgdata={fresh}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            f"--dbname={where}",
        ]
        password = {"PGPASSWORD": urlsplit(self._stage.dsn).password or ""}
        await run_tool(self._home, "postgres", command, {**bare(), **password}, account=account)
        fresh.rename(data)

    async def _settings(self, *statements: str) -> None:
        for statement in (*statements, "select pg_reload_conf()"):
            await self._stage.sql(statement)

    async def _until(self, state: str) -> None:
        async with asyncio.timeout(CAUGHT_UP_S):
            while [row["sync_state"] for row in await self._stage.sql(_STREAMING, self.name)] != [state]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
