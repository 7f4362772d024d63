"""What `ledger key` says to arguments that cannot be, before it asks any service."""

import pytest
from typer.testing import CliRunner

from streams.cli.key import key


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
