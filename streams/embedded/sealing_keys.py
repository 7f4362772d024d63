"""Under which keys secrets of providers are sealed."""

from ledger.config import Settings
from streams.embedded.state import StateDirectory

NAME = "sealing-keys"


def with_sealing_keys(settings: Settings) -> Settings:
    """Fill in the keys of the stack on this machine where none are set; without a stack there are none."""
    state = StateDirectory(settings.state_dir)
    if settings.sealing_keys is not None or not state.path.exists():
        return settings
    return settings.model_copy(update={"sealing_keys": state.secret(NAME)})
