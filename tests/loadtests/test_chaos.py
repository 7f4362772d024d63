"""The supervisor of faults: its schedule, its proxy, its traffic, and verdicts that can fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition

from ledger.contract.decode import decode_event
from loadtests.chaos import lag
from loadtests.chaos.__main__ import chosen, parser, plans_of, show
from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.faults import FAULTS, combined, failovers
from loadtests.chaos.lag import FAILED_MAX, Gauge, Sample, Watch
from loadtests.chaos.memory import memory_verdict
from loadtests.chaos.page import page
from loadtests.chaos.proxy import Proxy, proxied
from loadtests.chaos.results import INVARIANTS, TABLE, Checked, Injected, Report, Scene, together
from loadtests.chaos.run import attempted, cannot
from loadtests.chaos.schedule import Act, plan
from loadtests.chaos.stage import Ran, StageError
from loadtests.chaos.traffic import USUAL, Traffic, poisons
from streams.embedded.state import free_port

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOON_S = 0.2
MISSED = DidNotHappenError("nobody was there")
ALL_KINDS = {**USUAL, "conflicting": 1.0, "noisy": 1.0, "paying": 1.0, "refunded": 1.0}


def names(seed: int) -> list[str]:
    return [act.fault.name for each in plan(FAULTS.values(), seed) for act in each.acts]


def test_every_fault_of_the_table_is_there() -> None:
    assert list(FAULTS) == [f"F{number}" for number in range(1, 34)]


def test_a_seed_is_a_schedule_of_all_faults() -> None:
    assert names(1) == names(1)
    assert names(1) != names(2)
    assert sorted(names(1)) == sorted(FAULTS)


def test_faults_go_on_at_random_once_each_was_injected() -> None:
    [first] = plan([FAULTS["F1"], FAULTS["F2"]], 1)
    acts = list(islice(first.until(lambda: False), 6))
    assert {act.fault.name for act in acts[:2]} == {"F1", "F2"}
    assert len({act.seed for act in acts}) == 6


# Verdicts


def injected(verdict: Any) -> Injected:
    return Injected("F1", "a title", "whole", verdict, healed_s=2.0)


@pytest.mark.parametrize(
    ("scene", "ok"),
    [
        (Scene("whole", 1.0, 1, [injected("ok")], {"Z": Checked(ok=True)}), True),
        (Scene("whole", 1.0, 1, [injected("violated")], {"Z": Checked(ok=True)}), False),
        (Scene("whole", 1.0, 1, [injected("did not happen")], {"Z": Checked(ok=True)}), False),
        (Scene("whole", 1.0, 1, [injected("ok")], {"Z": Checked(ok=False)}), False),
        (Scene("whole", 1.0, 1, [injected("ok")], {}, why=["the checker failed"]), False),
    ],
    ids=["all well", "a fault", "no fault at all", "an invariant", "the checker"],
)
def test_whatever_is_wrong_makes_the_report_wrong(scene: Scene, ok: bool) -> None:
    assert Report(1, 300.0, "now", 1.0, [scene]).ok is ok


def test_what_is_not_run_says_why() -> None:
    found = cannot(FAULTS["F11"], "root")
    assert (found.verdict, found.why) == ("not run", "needs root")


def test_the_summary_says_what_was_run_what_passed_and_why_the_rest_was_not() -> None:
    assert len(FAULTS) == TABLE
    faults = [
        Injected("F1", "a title", "whole", "ok"),
        Injected("F2", "a title", "whole", "violated", "lag"),
        Injected("F1", "a title", "whole", "ok"),
        Injected("F23", "a title", "whole", "did not happen", "nothing was there"),
        cannot(FAULTS["F11"], "root"),
        cannot(FAULTS["F12"], "root"),
    ]
    checked = {name: Checked(ok=True, checked=1) for name in INVARIANTS if name != "T"}
    report = Report(1, 300.0, "now", 1.0, [Scene("whole", 1.0, 1, faults, checked | {"P": Checked(ok=True)})])
    said = "2 of 33 faults run, 1 passed; not run: F23 (nothing was there); F11, F12 (needs root); 28 not asked for"
    said += "; not checked: P, T"
    assert (report.coverage.said, report.told()["coverage"]["said"]) == (said, said)
    assert said in page(report)
    assert not report.ok


def test_the_last_line_says_what_was_not_run_and_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene("not run", 0.0, 0, [cannot(FAULTS["F11"], "root")], {"Z": Checked(ok=True, checked=1)})
    show(Report(1, 300.0, "now", 1.0, [scene]))
    last = capsys.readouterr().out.splitlines()[-1]
    said = "0 of 33 faults run, 0 passed; not run: F11 (needs root); 32 not asked for"
    assert last == f"NOTHING RUN: seed 1, 1 s: {said}; not checked: O, L, B, W, S, R, P, V, T"


def test_what_a_run_for_a_time_leaves_out_is_not_run() -> None:
    given = parser().parse_args(["run", "--seconds", "90", "--only", "F1,F7,F14"])
    plans, left_out = plans_of(chosen(given.only), given)
    assert [act.fault.name for each in plans for act in each.acts] == ["F1"]
    assert [fault.name for fault, _ in left_out] == ["F7", "F14"]


@pytest.mark.parametrize(("minutes", "left_out"), [("5", []), ("60", ["F27", "F30", "F31"])])
def test_what_reads_all_is_left_out_of_a_long_run(minutes: str, left_out: list[str]) -> None:
    given = parser().parse_args(["run", "--minutes", minutes, "--only", "F1,F27,F30,F31"])
    plans, missing = plans_of(chosen(given.only), given)
    assert [fault.name for fault, _ in missing] == left_out
    assert len(plans[0].acts) == 4 - len(left_out)


def test_three_at_once_ask_the_provider_for_one_thing() -> None:
    random = Random(1)
    for _ in range(500):
        assert len(combined.OF_THE_PROVIDER & {fault.name for fault in combined._chosen(random)}) < 2


# Faults


class NoStage:
    """A stage of which a fault needs nothing but time."""

    async def until_recovered(self, within_s: float) -> float:
        return 0.0


def only_these(
    monkeypatch: pytest.MonkeyPatch,
    *happens: Sequence[bool],
    error: Exception = MISSED,
) -> list[str]:
    """Let F33 choose from faults that happen, or do not, one time after the other; gives who was asked."""
    asked: list[str] = []

    def fault(name: str, times: Iterator[bool]) -> Fault:
        async def inject(stage: Any, random: Any) -> dict[str, Any]:
            asked.append(name)
            if not next(times):
                raise error
            return {"done": name}

        return Fault(name, "a title", inject)

    faults = tuple(fault(f"F{number}", iter(each)) for number, each in enumerate(happens, start=1))
    monkeypatch.setattr(combined, "TOGETHER", faults)
    return asked


async def test_three_at_once_are_done_when_each_of_them_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = only_these(monkeypatch, *([True] * 9, [True] * 9, [False, True, True, True]))
    did = await FAULTS["F33"].inject(NoStage(), Random(1))  # type: ignore[arg-type]
    assert all(each == {"done": name} for found in did.values() for name, each in found.items())
    assert len(asked) == 9


async def test_three_at_once_are_not_done_when_one_did_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    only_these(monkeypatch, [True] * 9, [True] * 9, [False] * 9)
    act = Act(FAULTS["F33"], "1")
    did, verdict, why = await attempted(NoStage(), act)  # type: ignore[arg-type]
    assert verdict == "did not happen"
    assert "F3 DidNotHappenError: nobody was there" in why
    assert did["2"]["F1"] == {"done": "F1"}


@pytest.mark.parametrize(
    "error", [CrewError("5 rebalances"), StageError("no"), TimeoutError("late")], ids=repr
)
async def test_one_of_three_that_fails_is_not_tried_again_until_it_does_not(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    only_these(monkeypatch, [True] * 9, [True] * 9, [False, True, True, True], error=error)
    _, verdict, why = await attempted(NoStage(), Act(FAULTS["F33"], "1"))  # type: ignore[arg-type]
    assert verdict == "violated"
    assert f"F3 {type(error).__name__}: {error}" in why


def test_a_replay_that_came_out_otherwise_says_how() -> None:
    said = {
        "verdict": "2 events posted",
        "counts": {"different": 1},
        "different": ["one"],
        "refused_unseen": [],
    }
    printed = json.dumps({"ok": False, **said, "curve": [[0.0, 0]] * 1000})
    assert failovers.came_of(Ran(0, printed, "")) == said
    with pytest.raises(StageError, match=r"2 events posted.*'different': 1.*one"):
        failovers.came_of(Ran(1, printed, ""))
    with pytest.raises(StageError, match="refused"):
        failovers.came_of(Ran(1, "", "refused"))


def test_an_invariant_that_broke_in_any_scene_is_broken() -> None:
    found = together({"Z": Checked(True, 2)}, {"Z": Checked(False, 3, ["a"])}, {"Z": Checked(True, 1)})
    assert found == {"Z": Checked(False, 6, ["a"])}


def test_the_page_tells_faults_findings_and_lag() -> None:
    samples = [Sample(float(at), {"group": [at]}, {"group": [0]}, at) for at in range(8)]
    scene = Scene("whole", 1.0, 7, [injected("ok")], {"Z": Checked(False, 1, ["<odd>"])}, samples=samples)
    shown = page(Report(1, 300.0, "now", 1.0, [scene]))
    assert all(text in shown for text in ("F1", "a title", "&lt;odd&gt;", "Lag of each group", "not checked"))


HOUR_S = 3700
PROGRAMS = ("worker-1", "windows-1", "payments-1", "chain-1", "api")

Memory = Callable[[int], float]


def verdict_of(mib: Memory, births_s: Sequence[float] = (), seconds: int = HOUR_S) -> Checked:
    """Judge a worker of such memory beside others, and a server, that are as they should be."""
    memory = {name: [(float(at), 90.0) for at in range(0, seconds, 10)] for name in PROGRAMS}
    memory["worker-1"] = [(float(at), mib(at)) for at in range(0, seconds, 10)]
    memory["kafka-1"] = [(float(at), 100.0 + at) for at in range(0, seconds, 10)]
    births = {"worker-1": [0.5, *births_s]}
    return memory_verdict(memory, births)["V"]


@pytest.mark.parametrize(
    ("mib", "findings"),
    [
        (lambda at: 50.0 if at < 900 else 100.0, []),
        (lambda at: 100.0 if at < 2300 else 150.0, []),
        (lambda at: 100.0 + at / 100, ["worker-1 grew from 123.2 to 132.4 MiB"]),
        (lambda at: 100.0 + at / 200, ["worker-1 grew from 111.6 to 116.2 MiB"]),
        (lambda at: 100.0 if at < 3000 else 120.0, ["worker-1 grew from 100.0 to 120.0 MiB"]),
    ],
    ids=["warmed up", "holds more from a moment on", "leaks", "leaks slowly", "grew at the end"],
)
def test_memory_that_grows_is_found_in_a_long_life(mib: Memory, findings: list[str]) -> None:
    judged = verdict_of(mib)
    assert (judged.ok, judged.checked, judged.findings) == (not findings, 5, findings)
    assert judged.notes == [
        "memory was judged of lives, in minutes: worker-1 61, windows-1 62, payments-1 62, chain-1 62, api 62"
    ]


@pytest.mark.parametrize(
    ("grown_a_second", "findings"), [(0.0, []), (0.02, ["worker-1 grew from 123.8 to 133.2 MiB"])]
)
def test_one_life_says_nothing_of_another(grown_a_second: float, findings: list[str]) -> None:
    born = 1800
    judged = verdict_of(lambda at: 80.0 if at < born else 100.0 + grown_a_second * (at - born), [born])
    assert judged.findings == findings


def test_a_kind_of_which_none_lived_for_long_is_no_flat_memory() -> None:
    judged = verdict_of(lambda _: 100.0, range(600, HOUR_S, 600))
    assert judged.findings == ["no worker lived for 30 minutes: its memory is not known"]


def test_of_a_short_run_memory_is_not_judged() -> None:
    short = verdict_of(float, seconds=1700)
    assert (short.verdict, short.notes) == (
        "not checked",
        ["memory is judged in runs of 30 minutes and more"],
    )


class BlindGauge:
    """A gauge that cannot see."""

    def look(self) -> None:
        raise KafkaException("the coordinator is gone")

    def close(self) -> None:
        pass


async def test_a_lag_that_cannot_be_seen_says_why() -> None:
    watch = Watch(BlindGauge())  # type: ignore[arg-type]
    watch.start()
    async with asyncio.timeout(5 * SOON_S):
        while not watch.samples:  # noqa: ASYNC110 - a look tells nobody
            await asyncio.sleep(SOON_S / 10)
    await watch.stop()
    assert "the coordinator is gone" in watch.said


class Client:
    """A client of Kafka that holds on to a broker which is gone, or not."""

    def __init__(self, *, stuck: bool) -> None:
        self.stuck = stuck
        self.closed = False

    def committed(self, places: Sequence[Any], timeout: float) -> Sequence[Any]:
        if self.stuck:
            raise KafkaException("timed out")
        return [TopicPartition(each.topic, each.partition, 5) for each in places]

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        return 0, 7

    def close(self) -> None:
        self.closed = True


def test_a_client_that_sees_nothing_for_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Client(stuck=True), Client(stuck=False)]
    left = iter(made)
    monkeypatch.setattr(lag, "_client", lambda kafka, group: next(left))
    gauge = Gauge("nowhere", {"group": "topic"}, 1)
    for _ in range(FAILED_MAX):
        with pytest.raises(KafkaException):
            gauge.look()
    assert made[0].closed
    assert gauge.look() == ({"group": [7]}, {"group": [5]})


# Traffic


def test_a_seed_is_one_traffic() -> None:
    made = [[traffic.next(ALL_KINDS) for _ in range(300)] for traffic in (a_traffic(), a_traffic())]
    assert made[0] == made[1]
    assert {record.kind for record in made[0]} == set(ALL_KINDS)


def a_traffic() -> Traffic:
    return Traffic(7, lambda: NOW)


def test_poison_is_never_an_event() -> None:
    good = next(record for record in a_traffic().opening() if b"bank:" in (record.value or b"")).value
    event = (good or b"").replace(b'"amount":1000000000', b'"amount":7').replace(b"bank:0", b"bank:5")
    event = event.replace(b"external:bank", b"bank:4")
    assert decode_event(event)
    for poison in poisons(event):
        assert poison != event


# The proxy


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy("echo", ("127.0.0.1", free_port(set())), server.sockets[0].getsockname())
    async with server, proxied(proxy):
        reader, writer = await asyncio.open_connection(*proxy.listens)
        writer.write(b"first")
        assert await reader.read(100) == b"first"
        yield proxy, reader, writer
        writer.close()


async def test_the_proxy_holds_bytes_back_and_lets_them_go() -> None:
    async with echoing() as (proxy, reader, writer):
        proxy.weather.holds_down = True
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), SOON_S)
        proxy.clear()
        assert await reader.read(100) == b"held"


async def test_the_proxy_resets_connections() -> None:
    async with echoing() as (proxy, reader, _):
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read(100)


async def test_the_client_of_a_half_open_connection_hears_nothing() -> None:
    async with echoing() as (proxy, reader, writer):
        assert proxy.half_open() == 1
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), SOON_S)
