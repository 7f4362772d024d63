"""What `ledger key` says to arguments that cannot be, before it asks any service."""

import pytest
from typer.testing import CliRunner

from ledger.application.api_keys import ApiKey
from streams.cli.key import key, show_keys
from tests.builders import NOW


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--tenant", "ACME"], "is no tenant"),
        (["create", "--tenant", "-acme"], "is no tenant"),
        (["create", "--tenant", "acme", "--scope", "all"], "is no scope"),
        (["create", "--tenant", "acme", "--expires", "1999-01-01"], "is over already"),
        (["create", "--tenant", "acme", "--expires", "soon"], "90d, 12h and 30m"),
        (["create", "--tenant", "acme", "--expires", "0d"], "is over already"),
        (["create", "--tenant", "acme", "--name", " "], "printable"),
        (["create", "--tenant", "acme", "--name", "a\nb"], "printable"),
        (["revoke", "short"], "16 letters"),
    ],
)
def test_what_is_wrong_with_a_key_is_said(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(key, arguments)
    assert (done.exit_code, said in done.stderr, done.stdout) == (2, True, "")


@pytest.mark.parametrize("terminal", ["1", "0"])
def test_ids_are_whole_on_eighty_columns_and_in_a_pipe(
    terminal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    kept = ApiKey(
        key_id="47lSsnCw8u4Q07q0",
        tenant_id=1,
        tenant="acme-of-the-north",
        name="the checkout of the shop in the old town",
        secret_hmac=b"",
        scopes=frozenset(("read", "write", "admin")),
        created_at=NOW,
        created_by="ann",
        revoked_at=NOW,
        last_used_at=NOW,
    )
    show_keys([kept])
    assert kept.key_id in capsys.readouterr().out.split()
