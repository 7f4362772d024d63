"""The settings as an operator sees them: each with its variable, its value, and where the value comes from."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from ledger.config import PREFIX, Settings, environment_name
from streams.embedded.processes import MARK

ADDRESSES = frozenset(
    {"kafka_bootstrap", "postgres_dsn", "postgres_replica_dsn", "redis_url", "traces_endpoint"}
)
"""Settings that may hold passwords, of which only the passwords are hidden."""

SECRETS = frozenset({"internal_token", "kafka_sasl_password", "key_secret", "sealing_keys"})
"""Settings of which nothing is shown."""

CRASH_VARIABLE = "LEDGER_CRASH"
"""Not a setting: it makes a worker die at a named point, for tests."""

_PASSWORD_IN_URL = re.compile(r"(://[^:@/]*:).*@")
_PASSWORD_IN_QUERY = re.compile(r"(password=)[^&\s]*", re.IGNORECASE)


class Source(StrEnum):
    """Where a value comes from."""

    ENVIRONMENT = "environment"
    STACK = "running stack"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class SettingShown:
    """One setting; passwords in it are masked."""

    name: str
    value: Any
    default: Any
    source: Source
    description: str


def shown_settings(
    settings: Settings, environment: Mapping[str, str], stack: Mapping[str, str | None]
) -> Iterator[SettingShown]:
    """Show every setting; `stack` has, by setting, the addresses that a running stack gives."""
    given = {name.upper() for name, value in environment.items() if value}
    for setting, field in Settings.model_fields.items():
        name = environment_name(setting)
        value, source = getattr(settings, setting), Source.DEFAULT
        if name in given:
            source = Source.ENVIRONMENT
        elif value is None and stack.get(setting):
            value, source = stack[setting], Source.STACK
        shown = "***" if value and setting in SECRETS else _plain(value)
        yield SettingShown(name, shown, _plain(field.default), source, field.description or "")


def _plain(value: Any) -> Any:
    """What JSON can hold, without passwords."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked(str(value))


def masked(text: str) -> str:
    """The text with the passwords of addresses replaced."""
    return _PASSWORD_IN_QUERY.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1***@", text))


def unknown_variables(environment: Iterable[str]) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the setting that may be meant."""
    known = {setting.upper() for setting in Settings.model_fields}
    found: dict[str, str | None] = {}
    for name in sorted(environment):
        bare = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and bare not in known and name not in (CRASH_VARIABLE, MARK):
            meant = get_close_matches(bare, known, n=1)
            found[name] = environment_name(meant[0]) if meant else None
    return found
