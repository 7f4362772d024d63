"""Under which secret keys of the API are stored."""

from ledger.config import Settings
from streams.embedded.errors import StackAwayError
from streams.embedded.state import StateDirectory


def find_key_secret(settings: Settings) -> str:
    """The secret that is set, or that of the stack on this machine; raises StackAwayError where there is neither."""
    state = StateDirectory(settings.state_dir)
    if settings.key_secret is None and not state.path.exists():
        raise StackAwayError(
            "No secret for the keys of the API: LEDGER_KEY_SECRET is not set, and no stack was ever started here.",
            "Set LEDGER_KEY_SECRET to 32 random characters, the same for the API and for `ledger key`.",
        )
    return settings.key_secret or state.secret("api-keys")
