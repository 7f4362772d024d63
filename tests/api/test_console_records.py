"""Events, the trial balance and reports in the console."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.adapters.report_directory import ReportDirectory, reports_of
from ledger.api.console.records import trace_id_of
from ledger.application.dead_letters import Place
from ledger.application.reports import (
    VERIFICATION,
    Verification,
    decode_verification,
    encode_verification,
    verification_of,
)
from ledger.config import Settings
from ledger.contract.dead_letter import Record
from ledger.domain.audit import Check, Verdict
from tests.api.console_world import ConsoleWorld, visiting
from tests.builders import NOW, event_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
PLACE = Place("payments", 0, 7)


@pytest.fixture
async def world() -> ConsoleWorld:
    world = ConsoleWorld()
    await world.live()
    return world


def came_in(world: ConsoleWorld, name: str, **envelope: Any) -> None:
    value = json.dumps({"id": event_id(name), "tenant": "acme", **envelope}).encode()
    world.log.places[event_id(name)] = PLACE
    world.log.records[PLACE] = Record("payments", 0, 7, b"acme/ann", value, (("h", b"<b>"),), 1)


async def asked(world: ConsoleWorld, path: str, scope: Any = "read", **given: Any) -> httpx.Response:
    async with visiting(world, scope, **given) as client:
        return await client.get(f"/console/{path}")


async def test_an_event_tells_what_came_in_what_it_did_and_where_it_was_published(
    world: ConsoleWorld,
) -> None:
    came_in(world, "d2", traceparent=PARENT, note="<b>")
    text = (await asked(world, f"events/{event_id('d2')}")).text
    assert "payments/0/7" in text
    assert TRACE in text
    assert "<b>&#34;" not in text
    assert "3.00 USD" in text
    assert "ledger.outcomes" in text
    assert "entry 1 of bob" in text
    assert event_id("r1") in text


async def test_a_trace_leads_to_where_it_is_read(world: ConsoleWorld) -> None:
    came_in(world, "d2", traceparent=PARENT)
    settings = Settings(traces_page="http://traces/trace/{trace}?x=1")
    text = (await asked(world, f"events/{event_id('d2')}", settings=settings)).text
    assert f'<a href="http://traces/trace/{TRACE}?x=1"' in text


@pytest.mark.parametrize(
    "page", ["http://traces/", "javascript:{trace}", "http://x/{trace}/{trace}", "http://x/{id}"]
)
def test_where_traces_are_read_is_an_address_with_their_id_in_it(page: str) -> None:
    with pytest.raises(ValueError, match="traces_page"):
        Settings(traces_page=page)


async def test_of_a_long_record_the_page_says_that_it_shows_the_beginning(world: ConsoleWorld) -> None:
    came_in(world, "d2", note="x" * 20_000)
    text = (await asked(world, f"events/{event_id('d2')}")).text
    assert "The first 16,384 of 20,0" in text


@pytest.mark.parametrize("name", ["open", "d1", "d3", "r1", "h1", "c1", "x1"])
async def test_every_kind_of_event_is_shown(world: ConsoleWorld, name: str) -> None:
    known = [event_id for _, event_id in world.books.contents.processed]
    wanted = event_id(name) if event_id(name) in known else known[0]
    assert (await asked(world, f"events/{wanted}")).status_code == 200


async def test_a_refused_event_tells_why(world: ConsoleWorld) -> None:
    text = (await asked(world, f"events/{event_id('x1')}")).text
    assert ("insufficient funds" in text, "It moved no money" in text) == (True, True)


async def test_a_record_that_is_gone_or_another_is_not_shown(world: ConsoleWorld) -> None:
    came_in(world, "d2", tenant="rival")
    assert "does not hold that record" in (await asked(world, f"events/{event_id('d2')}")).text
    world.log.records.clear()
    assert "does not hold that record" in (await asked(world, f"events/{event_id('d2')}")).text
    world.log.fault = "away"
    assert "Kafka does not answer" in (await asked(world, f"events/{event_id('d2')}")).text


async def test_an_event_that_is_not_known_is_told_with_what_it_may_be(world: ConsoleWorld) -> None:
    answer = await asked(world, f"events/{event_id('nobody')}")
    assert (answer.status_code, "still on its way" in answer.text) == (404, True)


async def test_a_transaction_leads_to_its_event(world: ConsoleWorld) -> None:
    answer = await asked(world, f"transactions/{event_id('d1')}")
    assert answer.headers["location"] == f"/console/events/{event_id('d1')}#transaction"


@pytest.mark.parametrize(
    ("headers", "value", "trace"),
    [
        ((("traceparent", PARENT.encode()),), b"{}", TRACE),
        ((), json.dumps({"traceparent": PARENT}).encode(), TRACE),
        (
            (("traceparent", PARENT.replace("a", "b").encode()),),
            json.dumps({"traceparent": PARENT}).encode(),
            TRACE,
        ),
        ((("traceparent", b"\xff"),), b"[]", None),
        ((), b'{"traceparent":7}', None),
        ((("traceparent", PARENT.encode()),), b'{"traceparent":"x"}', None),
        ((), b"\xff", None),
    ],
)
def test_a_trace_is_read_from_the_event_or_its_headers(headers: Any, value: bytes, trace: str | None) -> None:
    assert trace_id_of(Record("payments", 0, 1, None, value, headers)) == trace


async def test_the_trial_balance_shows_that_all_comes_to_zero(world: ConsoleWorld) -> None:
    text = (await asked(world, "trial-balance")).text
    assert text.count(">balanced<") == 2
    assert "None is known here" in text


def verdict(*violations: dict[str, Any]) -> Verification:
    checks = [Check("zero_sum", 5, []), Check("balances", 9, list(violations))]
    return verification_of(Verdict(checks), NOW, 1.5, "payments")


async def test_the_last_verification_is_shown(world: ConsoleWorld) -> None:
    world.verdict.verification = verdict()
    text = (await asked(world, "trial-balance")).text
    assert ("all holds" in text, "in 1.5 s" in text) == (True, True)


async def test_violations_are_told_and_their_rows_to_operators_only(world: ConsoleWorld) -> None:
    world.verdict.verification = verdict({"what": "<b>differs", "account": "of another"})
    reader, operator = await asked(world, "trial-balance"), await asked(world, "trial-balance", "admin")
    assert ("1 violation" in reader.text, "of another" in reader.text) == (True, False)
    assert ("of another" in operator.text, "<b>differs" in operator.text) == (True, False)
    assert "The last verification found 1 violation." in (await asked(world, "pipeline")).text


async def test_the_overview_does_without_a_verdict_that_cannot_be_asked_for(world: ConsoleWorld) -> None:
    world.verdict.away = True
    answer = await asked(world, "pipeline")
    assert (answer.status_code, "last verification" in answer.text) == (200, False)


async def test_reports_are_listed_and_shown_as_they_are(world: ConsoleWorld) -> None:
    world.kept.contents = {
        "a/bench.json": b'{"rate": 5, "<b>": "</pre><b>"}',
        "b.html": b"<script>1</script>",
    }
    listed = (await asked(world, "reports", "admin")).text
    assert 'href="/console/reports/a%2Fbench.json"' in listed
    shown = (await asked(world, "reports/a%2Fbench.json", "admin")).text
    assert ("<dt>rate</dt><dd>5</dd>" in shown, "</pre><b>" in shown) == (True, False)
    page = await asked(world, "reports/b.html", "admin")
    assert page.headers["content-disposition"] == 'attachment; filename="b.html"'
    assert page.headers["content-type"] == "application/octet-stream"
    assert (await asked(world, "reports/no.json", "admin")).status_code == 404


async def test_reports_are_those_of_a_directory_and_no_others(tmp_path: Path) -> None:
    kept = ReportDirectory(tmp_path / "reports")
    assert await kept.files() == []
    kept.write(VERIFICATION, encode_verification(verdict()))
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "reports" / "bench").mkdir()
    (tmp_path / "reports" / "bench" / "report.html").write_text("x")
    (tmp_path / "reports" / "key.pem").write_text("x")
    assert {each.name for each in await kept.files()} == {VERIFICATION, "bench/report.html"}
    assert await kept.read("bench/report.html") == b"x"
    assert [await kept.read(name) for name in ("../secret.json", "key.pem", "/etc/passwd", "")] == [None] * 4
    assert decode_verification(await kept.read(VERIFICATION) or b"") is not None


def test_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    assert reports_of(Settings(state_dir=tmp_path / "none")).directory is None
    assert reports_of(Settings(state_dir=tmp_path)).directory == tmp_path / "reports"
    assert reports_of(Settings(reports_dir=tmp_path / "x")).directory == tmp_path / "x"
    assert decode_verification(b"{}") is None
