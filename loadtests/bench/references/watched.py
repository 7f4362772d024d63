"""What a meter is to watch: the servers, and a process that a reference started."""

from collections.abc import Sequence

from loadtests.bench.stage import Stage
from streams.embedded.state import ProcessRecord


class Beside:
    """The processes of a stage, and one more."""

    def __init__(self, stage: Stage, name: str, pid: int) -> None:
        self._stage = stage
        self._own = ProcessRecord(name=name, pid=pid, ready=True, restarts=0)

    def processes(self) -> Sequence[ProcessRecord]:
        """Every process as it is now."""
        return (*self._stage.processes(), self._own)
