"""Faust's manager of tables, which does not wait for tables that are not coming."""

from faust.tables import TableManager


class PromptTables(TableManager):
    """Starts at once: Faust leaves a second for tables to be added, and ours are there before the app starts.

    An app subscribes to nothing before this has started: every start of a worker was a second longer.
    """

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
