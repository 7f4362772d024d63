"""Keys of the API that a stack on this machine makes for its own user; never in a deployment."""

import secrets
from dataclasses import dataclass

from ledger.application.access import Scope
from ledger.application.api_keys import ApiKeys, KeyTakenError, KeyWish, new_key, parse_key, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from streams.embedded.addresses import find_postgres
from streams.embedded.programs import DEVELOPMENT_TENANT
from streams.embedded.state import StateDirectory
from streams.key_secret import find_key_secret
from streams.prepare import PreparationError

TENANT = DEVELOPMENT_TENANT
MADE_BY = "ledger up"
HINT = "Set that secret again, or remove the development keys from secrets.json in the state directory."


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """Two keys for one tenant: to read and write with, and to administer with."""

    tenant: str
    api_key: str
    admin_key: str


def development_keys(state: StateDirectory) -> DevelopmentKeys:
    """The keys of this state directory, the same ones each time."""
    return DevelopmentKeys(TENANT, _kept(state, "development-key"), _kept(state, "development-admin-key"))


def _kept(state: StateDirectory, name: str) -> str:
    return state.secret(name, lambda: str(new_key(secrets.token_bytes)))


async def make_development_keys(settings: Settings) -> None:
    """Put the keys into the books, unless they are there; raises PreparationError."""
    keys = development_keys(StateDirectory(settings.state_dir))
    async with api_keys(settings, find_postgres(settings), key_secret=find_key_secret(settings)) as all_keys:
        await _ensure(all_keys, keys.api_key, "write", "development")
        await _ensure(all_keys, keys.admin_key, "admin", "development, admin")


async def _ensure(all_keys: ApiKeys, text: str, scope: Scope, name: str) -> None:
    parsed = parse_key(text)
    if parsed is None:
        raise PreparationError("secrets.json of the state directory holds what is no key.", HINT)
    try:
        await all_keys.ensure(parsed, KeyWish(TENANT, name, scopes_of([scope])), MADE_BY)
    except KeyTakenError as error:
        raise PreparationError(
            "The development keys were stored under another LEDGER_KEY_SECRET.", HINT
        ) from error
