"""The state directory of a stack that tests say is running."""

from pathlib import Path

from streams.embedded.state import StackRecord, StateDirectory


def state_with(record: StackRecord, path: Path) -> StateDirectory:
    """Make a state directory that tells of a stack."""
    made = StateDirectory(path)
    made.make()
    made.write(record)
    return made
