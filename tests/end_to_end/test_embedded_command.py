"""`ledger up`, `status` and `down`, with parts and supervisors killed on the way."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded.account import unprivileged
from streams.embedded.processes import launched, leftovers
from streams.embedded.state import StateDirectory
from tests.end_to_end.command import PROGRAM, Ledger

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    command = Ledger(tmp_path_factory.mktemp("command") / "state")
    yield command
    command.run("down")


def test_up_twice_is_one_stack(ledger: Ledger) -> None:
    first, before = ledger.up(), ledger.processes()
    assert (ledger.up(), ledger.processes()) == (first, before)


def test_up_tells_every_address(ledger: Ledger) -> None:
    names = {"kafka", "postgres", "api", "api_key", "admin_key", "tenant", "provider", "state_dir"}
    assert ledger.up().keys() == names


async def test_a_killed_postgres_comes_back_with_its_data(ledger: Ledger) -> None:
    dsn = ledger.up()["postgres"]
    await execute(dsn, "CREATE TABLE IF NOT EXISTS kept (value int); INSERT INTO kept VALUES (7)")
    killed = kill(ledger, "postgres")
    await come_back(ledger, "postgres", killed)
    assert await execute(dsn, "SELECT value FROM kept LIMIT 1") == 7


async def test_a_killed_kafka_comes_back_with_its_data(ledger: Ledger) -> None:
    bootstrap = ledger.up()["kafka"]
    await produce(bootstrap, "kept", b"seven")
    killed = kill(ledger, "kafka")
    await come_back(ledger, "kafka", killed)
    assert await first_value(bootstrap, "kept") == b"seven"


async def test_after_a_killed_supervisor_up_starts_afresh_on_the_same_data(ledger: Ledger) -> None:
    before = ledger.up()
    await execute(before["postgres"], "CREATE TABLE IF NOT EXISTS outlived ()")
    os.kill(supervisor(ledger), signal.SIGKILL)
    assert ledger.up() == before
    await execute(before["postgres"], "SELECT FROM outlived")


def test_down_leaves_no_process(ledger: Ledger) -> None:
    ledger.up()
    assert ledger.run("down").returncode == 0
    assert mentioning(ledger.state_dir) == []
    assert ledger.run("status").returncode == 3


def test_down_works_without_a_supervisor(ledger: Ledger) -> None:
    ledger.up()
    os.kill(supervisor(ledger), signal.SIGKILL)
    assert ledger.run("down").returncode == 0
    assert mentioning(ledger.state_dir) == []


def test_stale_files_harm_nobody(ledger: Ledger, bystander: "subprocess.Popen[bytes]") -> None:
    """The pids of a stack that was killed now belong to somebody else."""
    ledger.up()
    os.kill(supervisor(ledger), signal.SIGKILL)
    eventually(lambda: leftovers(StateDirectory(ledger.state_dir)) == [])
    forge(ledger.state_dir, bystander.pid)
    ledger.up()
    assert ledger.run("down").returncode == 0
    assert bystander.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    ledger = only_postgres(tmp_path / "state")
    process = subprocess.Popen([*PROGRAM, "up", "--workers", "0"], env=ledger.environment())
    eventually(lambda: StateDirectory(ledger.state_dir).read().phase == "ready")
    process.send_signal(number)
    assert process.wait(30) == 0
    assert mentioning(ledger.state_dir) == []


def test_a_signal_during_the_start_stops_everything(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state")
    process = subprocess.Popen([*PROGRAM, "up", "--workers", "0"], env=ledger.environment())
    state = StateDirectory(ledger.state_dir)
    eventually(lambda: any(part.pid for part in state.read().processes))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert mentioning(ledger.state_dir) == []


def test_two_state_directories_run_side_by_side(tmp_path: Path) -> None:
    one, other = only_postgres(tmp_path / "one"), only_postgres(tmp_path / "other")
    try:
        assert one.up()["postgres"] != other.up()["postgres"]
        one.run("down")
        assert other.processes()["postgres"]["ready"]
    finally:
        one.run("down")
        other.run("down")


def test_a_server_that_is_set_is_not_started(tmp_path: Path) -> None:
    ledger = only_postgres(tmp_path / "state")
    try:
        assert ledger.up()["kafka"] == "127.0.0.1:9"
        assert ledger.processes().keys() == {"postgres"}
    finally:
        ledger.run("down")


def test_two_servers_that_are_set_need_no_process(tmp_path: Path) -> None:
    changes = {"LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:9", "LEDGER_POSTGRES_DSN": "postgresql://elsewhere/books"}
    ledger = Ledger(tmp_path / "state", changes)
    try:
        assert ledger.up()["postgres"] == "postgresql://elsewhere/books"
        assert ledger.processes() == {}
    finally:
        ledger.run("down")


def test_a_first_start_without_network_names_what_is_missing(tmp_path: Path) -> None:
    unreachable = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    changes = {"M2_REPO": str(tmp_path / "empty"), "NO_PROXY": "", "no_proxy": "", **unreachable}
    for arguments in (("up", "--workers", "0"), ("up", "--detach", "--workers", "0")):
        done = Ledger(tmp_path / "state", changes).run(*arguments)
        assert done.returncode == 3
        assert "Kafka is not on this machine yet" in done.stderr
        assert "Traceback" not in done.stderr
    assert mentioning(tmp_path / "state") == []


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = Ledger(tmp_path / "file" / "state").run("up", "--detach")
    assert done.returncode == 3
    assert "cannot be used" in done.stderr


def test_a_server_that_is_set_and_away_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = only_postgres(tmp_path / "state").run("up", "--workers", "1")
    assert (done.returncode, "The topics could not be made in Kafka" in done.stderr) == (3, True)
    assert "Traceback" not in done.stderr
    assert mentioning(tmp_path / "state") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_than_root_can_run_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    account = unprivileged(state_dir, Path(PROGRAM[0]))
    assert account is not None
    account.own(state_dir)
    ledger = only_postgres(state_dir)
    wrapped = Ledger(state_dir, ledger.changes, launched((), account, signal.SIGTERM))
    try:
        wrapped.up()
        owner = psutil.Process(wrapped.processes()["postgres"]["pid"]).uids().real
        assert owner == account.uid
    finally:
        wrapped.run("down")
    assert mentioning(state_dir) == []


@pytest.fixture
def bystander() -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def only_postgres(state_dir: Path) -> Ledger:
    """A stack that starts in a second: Kafka is said to run elsewhere."""
    return Ledger(state_dir, {"LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:9"})


def supervisor(ledger: Ledger) -> int:
    pid = StateDirectory(ledger.state_dir).supervisor()
    assert pid is not None
    return pid


def forge(state_dir: Path, pid: int) -> None:
    """Write the pid wherever a pid is kept."""
    (state_dir / "stack.lock").write_text(str(pid))
    record = (state_dir / "stack.json").read_text()
    for process in StateDirectory(state_dir).read().processes:
        record = record.replace(str(process.pid), str(pid))
    (state_dir / "stack.json").write_text(record)
    (state_dir / "postgres" / "data" / "postmaster.pid").write_text(f"{pid}\n")


def mentioning(state_dir: Path) -> list[psutil.Process]:
    """Every process that has anything to do with the directory, this one aside."""
    return [process for process in psutil.process_iter() if str(state_dir) in described(process)]


def described(process: psutil.Process) -> str:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join((*process.cmdline(), *process.environ().values(), process.cwd()))
    except psutil.Error:
        return ""


def kill(ledger: Ledger, name: str) -> int:
    pid = ledger.processes()[name]["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    return pid


async def come_back(ledger: Ledger, name: str, killed: int) -> None:
    def is_back() -> bool:
        process = ledger.processes()[name]
        return bool(process["pid"] != killed and process["ready"] and process["restarts"] >= 1)

    await asyncio.to_thread(eventually, is_back)


def eventually(happens: Callable[[], bool], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


async def execute(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        if not statement.startswith("SELECT"):
            return await connection.execute(statement)
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def first_value(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        record = await asyncio.wait_for(consumer.getone(), 20)
        value = record.value
        assert value is None or isinstance(value, bytes)
        return value
    finally:
        await consumer.stop()
