"""Where a command finds Kafka and PostgreSQL."""

from pathlib import Path

import pytest

from ledger.adapters.kafka.access import KafkaAccess
from ledger.config import Settings
from streams.embedded.addresses import Addresses, find_addresses, find_kafka
from streams.embedded.errors import StackAwayError
from streams.embedded.state import StackRecord, StateDirectory
from tests.streams.stack_states import state_with

ELSEWHERE = KafkaAccess("elsewhere:9092", mechanism="SCRAM-SHA-512")
RUNNING = StackRecord(phase="ready", kafka="127.0.0.1:1", postgres="postgresql://stack")


def settings(path: Path, kafka: str | None = None, postgres: str | None = None) -> Settings:
    return Settings(state_dir=path, kafka_bootstrap=kafka, postgres_dsn=postgres)


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return state_with(RUNNING, tmp_path / "state")


def test_the_running_stack_gives_both(state: StateDirectory) -> None:
    with state.lock():
        assert find_addresses(settings(state.path)) == Addresses(
            KafkaAccess("127.0.0.1:1"), "postgresql://stack"
        )


def test_what_is_set_goes_before_the_stack_each_on_its_own(state: StateDirectory) -> None:
    with state.lock():
        found = find_addresses(settings(state.path, kafka="elsewhere:9092"))
    assert found == Addresses(ELSEWHERE, "postgresql://stack")


def test_what_is_set_needs_no_stack(tmp_path: Path) -> None:
    found = find_addresses(settings(tmp_path / "none", "elsewhere:9092", "postgresql://elsewhere"))
    assert found == Addresses(ELSEWHERE, "postgresql://elsewhere")


def test_a_record_without_its_supervisor_is_not_believed(state: StateDirectory) -> None:
    with pytest.raises(StackAwayError, match="ledger up"):
        find_kafka(settings(state.path))


def test_one_missing_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackAwayError, match="LEDGER_POSTGRES_DSN"):
        find_addresses(settings(tmp_path, kafka="elsewhere:9092"))
