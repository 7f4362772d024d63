"""The secrets that this installation keeps: under which keys of the API are stored, and secrets of providers sealed."""

from ledger.config import Settings
from streams.embedded.errors import StackAwayError
from streams.embedded.sealing_keys import with_sealing_keys
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


def need_sealing_keys(settings: Settings) -> str:
    """The keys that seal the secrets of providers, set or the stack's own; raises StackAwayError without any."""
    if (found := with_sealing_keys(settings).sealing_keys) is not None:
        return found
    raise StackAwayError(
        "No keys for the secrets of providers: LEDGER_SEALING_KEYS is not set, and no stack was ever started here.",
        "Set LEDGER_SEALING_KEYS to 32 random bytes in URL-safe base64, the same for all parts; "
        "`openssl rand -base64 32 | tr '+/' '-_'` makes some.",
    )
