"""`ledger payments`: payments that a provider makes, for operators."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer

from ledger.application.decide_payments import NoPaymentError, NotForOperatorsError, PaymentDesk
from ledger.application.payment_ports import Line, NumberedLine, Payment, PaymentKey
from ledger.application.payment_story import goes_on_at
from ledger.application.payment_story import why as story
from ledger.application.provider_reading import BreakerTold, shut
from ledger.bootstrap.payments import payment_desk
from ledger.config import Settings
from ledger.domain.ids import has_id_form
from ledger.domain.payments.happenings import Decision
from ledger.domain.payments.saga import State
from streams.cli.asking import asked, confirm, user_name
from streams.cli.commands import HELP
from streams.cli.given import check_tenant, check_texts, is_tenant
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.embedded.addresses import find_postgres

payments = typer.Typer(help=HELP["payments"], no_args_is_help=True)

Answer = TypeVar("Answer")

_RESOLUTIONS = {
    "charged": Decision.CHARGED,
    "not-charged": Decision.NOT_CHARGED,
    "hold-closed": Decision.HOLD_CLOSED,
}
_NAME = typer.Argument(help="TENANT/ID, as `ledger payments list` shows it.")
_WHY = typer.Option(None, "--why", help="Why, for the timeline; asked for.")
_YES = typer.Option(False, "--yes", help="Do not ask whether it is meant.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@payments.command("list")
def list_payments(
    tenant: str | None = typer.Option(None, "--tenant", help="Only payments of this tenant."),
    state: list[str] = typer.Option(
        ["needs_operator"], "--state", help="Only payments in this state; may be repeated."
    ),
    every: bool = typer.Option(False, "--all", help="In any state."),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="At most so many."),
    json_output: bool = _JSON,
) -> None:
    """List payments, the newest first: those that need an operator, unless told otherwise."""
    states = [] if every else [_state(each) for each in state]
    if tenant is not None:
        check_tenant(tenant)

    async def work(desk: PaymentDesk) -> tuple[Sequence[Payment], Sequence[BreakerTold]]:
        return await desk.list(tenant, states, limit), await desk.breakers()

    found, breakers = _run(work)
    if json_output:
        print_json({"payments": [_facts(each, breakers) for each in found]})
    for each in found if not json_output else ():
        print(f"{_named(each)}  {each.saga.state:<14}  {_story(each, breakers)}")
    if not found and not json_output:
        print("There are none.")


@payments.command("show")
def show(payment: str = _NAME, json_output: bool = _JSON) -> None:
    """Show a payment, why it is where it is, and all that happened to it."""
    key = _key(payment)

    async def work(desk: PaymentDesk) -> tuple[Payment, Sequence[NumberedLine], Sequence[BreakerTold]]:
        return *await desk.find(key), await desk.breakers()

    found, lines, breakers = _run(work)
    if json_output:
        print_json(
            {**_facts(found, breakers), "timeline": [_line_facts(each.number, each.line) for each in lines]}
        )
        return
    terms = found.terms
    print(f"{_named(found)}: {found.saga.state}. {_story(found, breakers)}")
    print(f"{terms.amount} {terms.asset} from {terms.debit} to {terms.credit} by {terms.provider}")
    goes_on = goes_on_at(found.saga, _shut(found, breakers))
    if goes_on is not None:
        print(f"It goes on by itself at {_written(goes_on)}.")
    for each in lines:
        print(_told(each.number, each.line))


@payments.command("retry")
def retry(
    payment: str | None = typer.Argument(None, help="TENANT/ID, as `ledger payments list` shows it."),
    every: bool = typer.Option(False, "--all", help="All that need an operator, 10,000 at a time."),
    tenant: str | None = typer.Option(None, "--tenant", help="With --all: only payments of this tenant."),
    provider: str | None = typer.Option(
        None, "--provider", help="With --all: only payments of this provider."
    ),
    why: str | None = _WHY,
    yes: bool = _YES,
    json_output: bool = _JSON,
) -> None:
    """Take up again what was given up: ask, publish or refund once more."""
    if every is (payment is not None):
        refuse("Name one payment, or give --all.")
    if payment is None:
        _retry_all(tenant, provider, why, yes, json_output)
    elif tenant is not None or provider is not None:
        refuse("--tenant and --provider go with --all.")
    else:
        _decide(payment, Decision.RETRY, why, None, yes, json_output)


def _retry_all(
    tenant: str | None, provider: str | None, why: str | None, yes: bool, json_output: bool
) -> None:
    if tenant is not None:
        check_tenant(tenant)
    reasoned = _reason(why)
    found = [each.key for each in _run(lambda desk: desk.stuck(tenant, provider))]
    if found and not yes:
        confirm(f"{len(found):,} payments would be retried.")
    retried = _run(lambda desk: desk.retry_all(found, by=user_name(), why=reasoned))
    if json_output:
        print_json({"needed": len(found), "retried": [_named(each) for each in retried]})
    else:
        print(f"{len(retried):,} of {len(found):,} are retried; the others went on meanwhile.")


@payments.command("resolve")
def resolve(
    payment: str = _NAME,
    fact: str = typer.Option(
        ..., "--as", help="What you looked up: charged, not-charged (any more), or hold-closed (by hand)."
    ),
    reference: str | None = typer.Option(
        None, "--reference", help="The provider's reference of the charge, with `--as charged`."
    ),
    why: str | None = _WHY,
    yes: bool = _YES,
    json_output: bool = _JSON,
) -> None:
    """Say what is so with a payment that needs an operator; it goes on from there."""
    if fact not in _RESOLUTIONS:
        refuse(f"--as takes {', '.join(_RESOLUTIONS)}.")
    if (fact == "charged") is (reference is None):
        refuse("--reference goes with `--as charged`, and only with that.")
    if reference is not None:
        check_texts("--reference", reference)
        if not reference.strip():
            refuse("--reference is empty.")
    _decide(payment, _RESOLUTIONS[fact], why, reference, yes, json_output)


def _decide(
    name: str, decision: Decision, why: str | None, reference: str | None, yes: bool, json_output: bool
) -> None:
    key = _key(name)
    reasoned = _reason(why)
    if not yes:
        confirm(f"{decision} would be noted for {name}.")
    found = _run(lambda desk: desk.decide(key, decision, by=user_name(), why=reasoned, reference=reference))
    if json_output:
        print_json(_facts(found))
    else:
        print(f"{_named(found)} is {found.saga.state} now. {story(found.saga)}")


def _reason(why: str | None) -> str:
    reasoned = (why or asked("Why?", "--why TEXT says why.")).strip()
    if not reasoned:
        refuse("--why is empty.")
    check_texts("--why", reasoned)
    return reasoned


def _run(work: Callable[[PaymentDesk], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        settings = Settings()
        async with payment_desk(settings, find_postgres(settings)) as desk:
            return await work(desk)

    try:
        with told_faults():
            return asyncio.run(run())
    except (NoPaymentError, NotForOperatorsError) as error:
        complain(f"{error} `ledger payments list` shows those that need an operator.")
        raise typer.Exit(FOUND_WRONG) from error


def _key(name: str) -> PaymentKey:
    tenant, _, payment_id = name.partition("/")
    if not is_tenant(tenant) or not has_id_form(payment_id):
        refuse(f"{name!r} is no payment: TENANT/ID is.")
    return PaymentKey(tenant, payment_id.lower())


def _state(text: str) -> State:
    if text not in set(State):
        refuse(f"{text!r} is no state: {', '.join(State)} are.")
    return State(text)


def _named(payment: Payment) -> str:
    return f"{payment.saga.tenant}/{payment.saga.id}"


def _story(payment: Payment, breakers: Sequence[BreakerTold]) -> str:
    return story(payment.saga, _shut(payment, breakers))


def _shut(payment: Payment, breakers: Sequence[BreakerTold]) -> BreakerTold | None:
    return shut(breakers, payment.saga.tenant, payment.terms.provider)


def _facts(payment: Payment, breakers: Sequence[BreakerTold] = ()) -> dict[str, Any]:
    saga, terms = payment.saga, payment.terms
    return {
        "payment": _named(payment),
        "state": saga.state,
        "why": _story(payment, breakers),
        "next_at": _written(saga.next_at),
        "requested_at": _written(payment.created_at),
        "provider": terms.provider,
        "debit": terms.debit,
        "credit": terms.credit,
        "amount": terms.amount,
        "asset": terms.asset,
        "charge_reference": saga.charge_reference,
    }


def _line_facts(number: int, line: Line) -> dict[str, Any]:
    return {
        "number": number,
        "at": _written(line.at),
        "happening": line.happening,
        "verdict": line.verdict,
        "state": line.state,
        "commands": list(line.commands),
        "attempt": line.attempt,
        "event": line.event_id,
        "next_at": _written(line.next_at),
        "detail": line.detail,
        "by": line.by,
    }


def _told(number: int, line: Line) -> str:
    parts: Sequence[str | None] = (
        f"{number:>4}  {_written(line.at)}  {line.happening}",
        None if line.detail is None else f"({line.detail})",
        None if line.by is None else f"by {line.by}",
        f"-> {line.state}",
        None if not line.commands else ", ".join(line.commands),
        None if line.verdict == "moved" else str(line.verdict),
    )
    return " ".join(part for part in parts if part)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
