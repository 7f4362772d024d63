"""The command line: listed without the libraries of its commands, and faults told for what they are."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from streams.cli import app
from streams.cli.asking import user_name
from streams.cli.commands import HELP, LoadedCommands
from streams.cli.running import SERVICE_AWAY, USED_WRONGLY, as_sentence, told_faults

HEAVY = ("faust", "sqlalchemy", "alembic", "aiokafka", "asyncpg")
LOOK = "import sys; import streams.cli, streams.cli.status; print(*(name for name in {!r} if name in sys.modules))"


@pytest.mark.parametrize("name", HELP)
def test_sentence_in_the_list_is_the_commands_own(name: str) -> None:
    shown = " ".join((LoadedCommands()[name].help or "").split())
    assert shown.startswith(HELP[name])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the group has no gap", "The group has no gap"),
        ("payments/0/0 was requeued", "payments/0/0 was requeued"),
        ("payments/0: the log ends", "payments/0: the log ends"),
    ],
)
def test_sentence_begins_with_a_capital_and_a_name_stays_as_it_is(text: str, told: str) -> None:
    assert as_sentence(text) == told


def test_every_command_is_listed() -> None:
    listed = CliRunner().invoke(app, ["--help"]).stdout
    assert all(f" {name} " in listed for name in HELP)


def test_list_and_status_need_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(HEAVY)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_checkpoint_store_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    assert CliRunner().invoke(app, ["chain", "key", str(key)]).exit_code == 0
    away = ["--checkpoints", "/no/such/directory"]
    done = CliRunner().invoke(app, ["chain", "verify", "--public-key", f"{key}.pub", *away])
    assert (done.exit_code, done.stderr) == (
        SERVICE_AWAY,
        "The checkpoint store is away or refuses: there is no directory /no/such/directory.\n",
    )


def test_unknown_command_is_told_with_a_near_one() -> None:
    done = CliRunner().invoke(app, ["statsu"])
    assert (done.exit_code, "status" in done.stderr) == (2, True)


def file_away(path: Path) -> None:
    path.joinpath("absent").read_bytes()


def folder_read(path: Path) -> None:
    path.read_bytes()


def broken_gzip(path: Path) -> None:
    path.joinpath("x.gz").write_bytes(b"no gzip")
    with gzip.open(path / "x.gz") as file:
        file.read()


def connection_refused(path: Path) -> None:
    raise ConnectionRefusedError(111, "refused")


def socket_away(path: Path) -> None:
    raise FileNotFoundError(2, "No such file or directory")


def connection_broken(path: Path) -> None:
    raise BrokenPipeError(32, "Broken pipe")


def several_addresses(path: Path) -> None:
    raise OSError("Multiple exceptions: refused, refused")


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        (file_away, USED_WRONGLY, "absent: No such file"),
        (folder_read, USED_WRONGLY, "Is a directory"),
        (broken_gzip, USED_WRONGLY, "cut off or damaged"),
        (connection_refused, SERVICE_AWAY, "PostgreSQL is away"),
        (socket_away, SERVICE_AWAY, "PostgreSQL is away"),
        (connection_broken, SERVICE_AWAY, "PostgreSQL is away"),
        (several_addresses, SERVICE_AWAY, "PostgreSQL is away"),
    ],
)
def test_files_are_told_from_connections(
    work: Callable[[Path], None], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, told_faults():
        work(tmp_path)
    assert (ended.value.exit_code, said in capsys.readouterr().err) == (code, True)


WRITER = """
import typer
from streams.cli.running import told_faults

def write():
    with told_faults():
        for _ in range(100):
            print("x" * 10_000)

typer.run(write)
"""


def test_nothing_is_said_where_nobody_reads_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        done = subprocess.run(
            [sys.executable, "-c", WRITER], stdout=gone, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_full_disk_is_not_a_service_that_is_away() -> None:
    with pytest.raises(OSError, match="No space"), told_faults():
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("claimed:y", "'claimed:y': it takes the name of a crash point and a count"),
        ("claimed:0", "'claimed:0': it takes the name of a crash point and a count"),
        ("claimed:-1", "'claimed:-1': it takes the name of a crash point and a count"),
        (":3", "':3': it takes the name of a crash point and a count"),
        ("x", "'x': there is no such crash point, only claimed, before_commit, "),
        ("claim:1", "'claim': there is no such crash point, only claimed, before_commit, "),
    ],
)
def test_what_is_no_crash_point_with_a_count_is_told_by_any_command(value: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "status"],
        env={"PATH": "", "LEDGER_CRASH": value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.partition(" is ")[0]) == (2, "LEDGER_CRASH")
    assert done.stderr.partition(" is ")[2].startswith(told)


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["retry", "--why", "x", "--yes"], ["resolve", "--as", "hold-closed", "--why", "x", "--yes"]],
)
@pytest.mark.parametrize(
    "name",
    [
        "acme",
        f"acme/{'x' * 36}",
        "acme/{01a1fd8c-6900-77dc-a235-639215ca5234}",
        *[f"{tenant}/01a1fd8c-6900-77dc-a235-639215ca5234" for tenant in ("", "ac\udcffme", "a\x00", "ACME")],
    ],
)
def test_what_names_no_payment_is_told(arguments: list[str], name: str) -> None:
    done = CliRunner().invoke(app, ["payments", *arguments, name])
    assert (done.exit_code, "is no payment: TENANT/ID is" in done.stderr) == (USED_WRONGLY, True), done.output


PAYMENT = "acme/01a1fd8c-6900-77dc-a235-639215ca5234"
CHARGED = ("resolve", PAYMENT, "--as", "charged", "--why", "seen", "--yes")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["payments", "list", "--tenant", "a\x00b"], "'a\\x00b' is no tenant"),
        (["payments", "list", "--tenant", "a\udcffb"], "'a\\udcffb' is no tenant"),
        (["payments", "list", "--tenant", ""], "'' is no tenant"),
        (["payments", "retry", "--why", "x", "--yes"], "Name one payment, or give --all"),
        (["payments", "retry", PAYMENT, "--all", "--why", "x", "--yes"], "Name one payment, or give --all"),
        (["payments", "retry", PAYMENT, "--provider", "p", "--why", "x", "--yes"], "go with --all"),
        (["payments", "retry", "--all", "--tenant", "", "--why", "x", "--yes"], "'' is no tenant"),
        (["payments", *CHARGED, "--reference", ""], "--reference is empty"),
        (["payments", *CHARGED, "--reference", " "], "--reference is empty"),
        (["payments", *CHARGED, "--reference", "a\udcff"], "--reference is not text in UTF-8: 'a\\udcff'"),
        (["payments", "retry", PAYMENT, "--yes", "--why", "a\udcff"], "--why is not text in UTF-8"),
        (["payments", "retry", PAYMENT, "--yes", "--why", "a\x00"], "--why is not text in UTF-8"),
        (["dlq", "drop", "payments/0/1", "--yes", "--why", "\udcff"], "--why is not text in UTF-8"),
        (["dlq", "requeue", "payments/0/1", "--yes", "--why", "\udcff"], "--why is not text in UTF-8"),
        (["dlq", "list", "--since", "1h", "--until", "2h"], "--since must be before --until"),
        (["dlq", "list", "--since", "2999-01-01"], "--since is in the future"),
        (["export", "entries", "--asset", "foo"], "Asset 'foo' is not CODE/SCALE"),
        (["export", "entries", "--from", "1h", "--to", "2h"], "--from must be before --to"),
        (["export", "balances", "--at", "2999-01-01"], "--at is in the future"),
        (["gap", "accept", "--partition", "0", "--yes", "--why", "\udcff"], "--why is not text in UTF-8"),
        (["provider", "set", "acme/bank", "--url", "https://a\udcff.example"], "--url is not text in UTF-8"),
        (["provider", "set", "acme/bank", "--host", "a\udcff.example"], "--host is not text in UTF-8"),
        (["provider", "set", "acme/bank", "--network", "\x00"], "--network is not text in UTF-8"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_any_service_is_asked(
    arguments: list[str], said: str
) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, said in done.stderr) == (USED_WRONGLY, True), done.output


def test_a_user_whose_name_is_not_text_can_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann\udcff")
    assert user_name() == "ann?"


def test_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"stream-ledger {version('stream-ledger')}\n")
