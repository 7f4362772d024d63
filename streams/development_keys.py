"""Keys of the API that a stack on this machine makes for its own user; never in a deployment."""

from dataclasses import dataclass

from ledger.config import Settings
from streams.embedded.state import StateDirectory

TENANT = "acme"


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """Two keys for one tenant: to read and write with, and to administer with."""

    tenant: str
    api_key: str
    admin_key: str


def development_keys(state: StateDirectory) -> DevelopmentKeys:
    """The keys of this state directory, the same ones each time."""
    return DevelopmentKeys(TENANT, state.secret("development-key"), state.secret("development-admin-key"))


async def make_development_keys(settings: Settings) -> None:
    """Put the keys into the books, unless they are there."""
