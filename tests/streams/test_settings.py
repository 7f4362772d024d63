"""The settings as they are shown, and wrong ones as they are told."""

import pytest
import typer

from ledger.config import Settings
from streams.cli.running import told_settings
from streams.settings import Source, masked, shown_settings, unknown_variables


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ann:secret@host:5432/books", "postgresql://ann:***@host:5432/books"),
        ("postgresql://ann:se@cr:et/@host/books", "postgresql://ann:***@host/books"),
        ("postgresql://ann@host/books?password=secret&x=1", "postgresql://ann@host/books?password=***&x=1"),
        ("postgresql://:secret@host/books", "postgresql://:***@host/books"),
        ("postgresql://host/books", "postgresql://host/books"),
        ("kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9092"),
    ],
)
def test_passwords_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:s%2Fcret@host:5432/books?sslmode=verify-full",
        "postgresql:///books",
        "postgresql://ann:a:b@[::1]:5432/books",
        "postgresql://ann:p@one:5432,two:5433,three/books",
        "postgresql://ann@%2Fvar%2Frun%2Fpostgresql/books",
        "postgres://host:/books?user=ann&password=/",
    ],
)
def test_addresses_of_postgres_are_taken_in_all_their_forms(address: str) -> None:
    assert Settings(postgres_dsn=address).postgres_dsn == address


@pytest.mark.parametrize(
    "address", ["redis://:p@host/0", "rediss://host:6380", "unix:///run/redis.sock?db=1"]
)
def test_addresses_of_redis_are_taken_in_all_their_forms(address: str) -> None:
    assert Settings(redis_url=address).redis_url == address


def test_settings_tell_where_they_come_from() -> None:
    settings = Settings(kafka_bootstrap=None, postgres_dsn=None, workers=3)
    stack = {
        "kafka_bootstrap": "127.0.0.1:1",
        "postgres_dsn": "postgresql://ledger:secret@127.0.0.1:2/ledger",
    }
    shown = {
        each.name: (each.value, each.source)
        for each in shown_settings(settings, {"ledger_workers": "3", "LEDGER_PARTITIONS": ""}, stack)
    }
    assert shown["LEDGER_WORKERS"] == (3, Source.ENVIRONMENT)
    assert shown["LEDGER_PARTITIONS"] == (4, Source.DEFAULT)
    assert shown["LEDGER_KAFKA_BOOTSTRAP"] == ("127.0.0.1:1", Source.STACK)
    assert shown["LEDGER_POSTGRES_DSN"] == ("postgresql://ledger:***@127.0.0.1:2/ledger", Source.STACK)


def test_every_setting_says_what_it_means() -> None:
    shown = list(shown_settings(Settings(), {}, {}))
    assert len(shown) == len(Settings.model_fields)
    assert all(each.description for each in shown)


def test_what_looks_like_a_setting_is_named() -> None:
    found = unknown_variables(["LEDGER_WORKERS", "ledger_workers", "LEDGER_WORKER", "LEDGER_Q", "HOME"])
    assert found == {"LEDGER_WORKER": "LEDGER_WORKERS", "LEDGER_Q": None}


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LEDGER_WORKERS", "many", "LEDGER_WORKERS is 'many': input should be a valid integer"),
        ("LEDGER_WORKERS", "0", "greater than or equal to 1"),
        ("LEDGER_LOG_LEVEL", "loud", "LEDGER_LOG_LEVEL is 'loud'"),
        ("LEDGER_KAFKA_BOOTSTRAP", "kafka:65536", "LEDGER_KAFKA_BOOTSTRAP is not valid"),
        ("LEDGER_KAFKA_BOOTSTRAP", "kafka", "LEDGER_KAFKA_BOOTSTRAP is not valid. It takes host:port"),
        (
            "LEDGER_POSTGRES_DSN",
            "ann:secret@host",
            "LEDGER_POSTGRES_DSN is not valid. It takes postgresql://",
        ),
        ("LEDGER_POSTGRES_DSN", "postgresql://ann:se/cret@host/books", "LEDGER_POSTGRES_DSN is not valid"),
        ("LEDGER_POSTGRES_REPLICA_DSN", "postgresql://ann:#cret@host", "LEDGER_POSTGRES_REPLICA_DSN is not"),
        ("LEDGER_REDIS_URL", "redis://:se/cret@host", "LEDGER_REDIS_URL is not valid"),
        ("LEDGER_PAYMENT_RULES", '{"answer_s": 1e12}', "these are too large: answer_s (3.16224e+07 at most)"),
        ("LEDGER_PAYMENT_RULES", '{"answer_s": 1e999}', "LEDGER_PAYMENT_RULES"),
        ("LEDGER_PAYMENT_RULES", '{"charge_tries_max": 10001}', "charge_tries_max (10000 at most)"),
        ("LEDGER_PAYMENT_RULES", '{"answer_s": 0}', "these must be positive: answer_s"),
        (
            "LEDGER_PAYMENT_RULES",
            '{"unknown_s_max": 60}',
            "not_found_grace_s must be less than unknown_s_max",
        ),
        ("LEDGER_PAYMENT_RULES", '{"answerz": 1}', "answerz"),
        ("LEDGER_API_TRUSTED_PROXIES", "10.0.0.0/8, proxy", "'proxy' does not appear to be an IPv4 or IPv6"),
        ("LEDGER_PAYMENT_LEASE_S", "inf", "less than or equal to 3600"),
    ],
)
def test_wrong_setting_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended, told_settings():
        Settings()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in told
    assert ("secret" in told, "alue error" in told) == (False, False)


@pytest.mark.parametrize(
    "address", ["kafka:9092", "kafka:65535", "k:1", "10.0.0.1:9092,10.0.0.2:9092", "[::1]:9092, b:1"]
)
def test_addresses_of_kafka_are_taken(address: str) -> None:
    assert Settings(kafka_bootstrap=address).kafka_bootstrap == address


def test_what_is_no_setting_passes_through() -> None:
    with pytest.raises(typer.Exit), told_settings():
        raise typer.Exit(3)
