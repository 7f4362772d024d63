"""Under which keys secrets of providers are sealed."""

from ledger.config import Settings
from streams.embedded.state import StateDirectory

_NAME = "sealing-keys"


def with_sealing_keys(settings: Settings) -> Settings:
    """Fill in the keys of the stack on this machine where none are set; where no stack ever began there are none."""
    if settings.sealing_keys is not None:
        return settings
    return settings.model_copy(update={"sealing_keys": StateDirectory(settings.state_dir).kept_secret(_NAME)})


def ensure_sealing_keys(settings: Settings, state: StateDirectory) -> Settings:
    """Fill in the keys of a stack, which are made where it has none yet and none are set."""
    return settings.model_copy(update={"sealing_keys": settings.sealing_keys or state.secret(_NAME)})
