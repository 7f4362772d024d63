"""The stack's own provider, as the tenants that it works for know it; never in a deployment."""

from typing import Any

from ledger.bootstrap.providers import provider_directory
from ledger.config import Settings
from streams.embedded.addresses import find_postgres
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.embedded.programs import PROVIDER, SIMULATED, provider_secret
from streams.embedded.sealing_keys import ensure_sealing_keys
from streams.embedded.state import StateDirectory


def simulated_settings(state: StateDirectory) -> dict[str, Any]:
    """Give how the provider of this state directory is called."""
    return {
        "url": f"http://127.0.0.1:{state.port(PROVIDER)}",
        "secrets": [provider_secret(state)],
        "hosts": ["127.0.0.1"],
        "networks": ["127.0.0.0/8"],
        "plain_http": True,
    }


async def give_simulated(settings: Settings, tenant: str, **more: Any) -> None:
    """Let a tenant pay by it; what else the tenant had set for it stays. Its port has to be free, or its own."""
    state = StateDirectory(settings.state_dir)
    async with provider_directory(ensure_sealing_keys(settings, state), find_postgres(settings)) as providers:
        kept = {name: each for code, name, each in await providers.all() if code == tenant}
        ours = {**kept.get(SIMULATED, {}), **simulated_settings(state), **more}
        await providers.put(tenant, SIMULATED, ours)


async def make_development_provider(settings: Settings) -> None:
    """Let the development tenant pay by it; done while it does not run yet."""
    await give_simulated(settings, TENANT)
