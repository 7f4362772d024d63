"""What goes out, as the OpenAPI document tells it; tests hold every answer to these models."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ledger.api.parameters import ACCOUNT_PATTERN, ASSET_PATTERN, EXAMPLE_ID, EXAMPLE_TIME
from ledger.domain.money import AMOUNT_MAX
from ledger.domain.rejection import Reason

_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Account = Annotated[str, Field(pattern=ACCOUNT_PATTERN, examples=["customer:ann"])]
Asset = Annotated[str, Field(pattern=ASSET_PATTERN, examples=["USD/2"])]
Id = Annotated[str, Field(pattern=_ID, examples=[EXAMPLE_ID])]
Moment = Annotated[datetime, Field(description="RFC 3339, UTC.", examples=[EXAMPLE_TIME])]
Minor = Annotated[int, Field(description="Minor units.", ge=-AMOUNT_MAX - 1, le=AMOUNT_MAX, examples=[8750])]
Total = Annotated[int, Field(description="Minor units.", ge=0, le=AMOUNT_MAX, examples=[10_000])]
Amount = Annotated[int, Field(description="Minor units.", ge=1, le=AMOUNT_MAX, examples=[1250])]
Version = Annotated[int, Field(description="Counts the entries, without gaps.", ge=0, examples=[2])]
Age = Annotated[int, Field(description="How old it may be.", ge=0, examples=[0])]
Side = Annotated[
    Literal["credit", "debit"], Field(description="Which side makes the balance grow.", examples=["credit"])
]
Cursor = Annotated[
    str | None,
    Field(description="Give it as `cursor` for the next page; null: this is the last.", examples=[None]),
]


class Model(BaseModel):
    """An answer; it has no other members."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AssetBalance(Model):
    """One balance of an account."""

    asset: Asset
    posted_debits: Total
    posted_credits: Total
    balance: Minor
    held: Total
    available: Minor
    version: Version


class Balance(Model):
    """A balance; `held` and `available` are null where the source does not know them: the past, and the stream."""

    account: Account
    asset: Asset
    posted_debits: Total
    posted_credits: Total
    balance: Minor
    held: Total | None
    available: Minor | None
    version: Version
    as_of: Moment
    consistency: Literal["strong", "cached", "eventual"]
    source: Literal["database", "cache", "stream"]
    age_ms: Age


class AccountAnswer(Model):
    """An account and all its balances."""

    account: Account
    normal_side: Side
    overdraft: Annotated[
        Total | Literal["unlimited"], Field(description="Minor units of any asset.", examples=[0])
    ]
    metadata: Annotated[dict[str, Any] | None, Field(examples=[None])]
    opened_at: Moment
    closed_at: Annotated[datetime | None, Field(description="null: it is open.", examples=[None])]
    balances: list[AssetBalance]


class EntryOfAccount(Model):
    """A line of a statement; balance and totals are those after it."""

    transaction: Id
    type: Annotated[str, Field(description="Of the event that posted it.", examples=["transfer.post.v1"])]
    account: Account
    asset: Asset
    amount: Minor
    version: Version
    balance: Minor
    posted_debits: Total
    posted_credits: Total
    reference: Annotated[str | None, Field(examples=["order-17"])]
    posted_at: Moment
    effective_at: Moment


class Entry(Model):
    """A line of a transaction; balance and totals are those after it."""

    account: Account
    asset: Asset
    amount: Minor
    version: Version
    balance: Minor
    posted_debits: Total
    posted_credits: Total


class WindowAnswer(Model):
    """What the entries of a stretch of time come to. Windows without entries are left out."""

    start: Moment
    end: Moment
    opening: Minor
    closing: Minor
    low: Minor
    high: Minor
    debits: Total
    credits: Total
    entries: Annotated[int, Field(ge=1, examples=[3])]
    first_version: Version
    last_version: Version
    closed: Annotated[bool, Field(description="No more entries are expected in it.", examples=[True])]
    source: Literal["stream", "database"]
    age_ms: Age


class TransactionAnswer(Model):
    """A posted transaction."""

    transaction: Id
    type: Annotated[str, Field(examples=["transfer.post.v1"])]
    posted_at: Moment
    effective_at: Moment
    reference: Annotated[str | None, Field(examples=["order-17"])]
    metadata: Annotated[dict[str, Any] | None, Field(examples=[None])]
    entries: list[Entry]
    reverses: Annotated[Id | None, Field(description="The transaction that it takes back.", examples=[None])]
    captures: Annotated[Id | None, Field(description="The hold that it captures.", examples=[None])]
    reversed_by: Annotated[list[Id], Field(description="The first 1,000.", examples=[[]])]


class HoldAnswer(Model):
    """A hold as it stands: amount = captured + released + left."""

    hold: Id
    debit: Account
    credit: Account
    asset: Asset
    amount: Amount
    captured: Total
    released: Total
    left: Total
    state: Literal["open", "captured", "voided", "expired"]
    placed_at: Moment
    expires_at: Annotated[datetime | None, Field(examples=[None])]
    reference: Annotated[str | None, Field(examples=["order-17"])]
    captures: Annotated[list[Id], Field(description="Transactions, the first 1,000.", examples=[[]])]


PaymentState = Annotated[
    Literal[
        "requested",
        "funds_held",
        "charging",
        "charged",
        "releasing",
        "refunding",
        "needs_operator",
        "settled",
        "declined",
        "released",
        "expired",
        "refunded",
    ],
    Field(examples=["charging"]),
]


class FeeAnswer(Model):
    """What is paid out of the amount when it is captured."""

    account: Account
    amount: Amount


class TimelineLine(Model):
    """What happened to a payment, and what was done about it."""

    number: Annotated[int, Field(description="From 1, without gaps.", ge=1, examples=[2])]
    at: Moment
    happening: Annotated[str, Field(examples=["retry_later"])]
    verdict: Literal["moved", "absorbed", "contradiction"]
    state: PaymentState
    commands: Annotated[list[str], Field(description="What was done about it.", examples=[["charge"]])]
    attempt: Annotated[
        int | None, Field(description="The call to the provider that begins or was answered.", examples=[1])
    ]
    event: Annotated[
        Id | None,
        Field(
            description="The capture or void that it is about, once that has its outcome.", examples=[None]
        ),
    ]
    next_at: Annotated[
        datetime | None,
        Field(description="When it goes on by itself; null: at an end.", examples=[EXAMPLE_TIME]),
    ]
    detail: Annotated[str | None, Field(examples=["the provider answered 429"])]
    by: Annotated[str | None, Field(description="The operator who decided.", examples=[None])]


class PaymentItem(Model):
    """A payment that a provider makes; its id is that of its request and of its hold."""

    id: Id
    state: PaymentState
    why: Annotated[str, Field(description="Why it is there.", examples=["It is settled."])]
    next_at: Annotated[
        datetime | None, Field(description="When it goes on by itself; null: at an end.", examples=[None])
    ]
    debit: Account
    credit: Account
    amount: Amount
    asset: Asset
    fee: FeeAnswer | None
    provider: Annotated[str, Field(examples=["simulated"])]
    reference: Annotated[str | None, Field(examples=["order-17"])]
    requested_at: Moment
    deadline: Moment
    attempts: Annotated[int, Field(description="Calls to the provider so far.", ge=0, examples=[1])]
    charge_reference: Annotated[str | None, Field(examples=["ch_9f2c"])]
    refund_reference: Annotated[str | None, Field(examples=[None])]


class PaymentAnswer(PaymentItem):
    """A payment with what happened to it, the oldest first, a page of it."""

    timeline: list[TimelineLine]
    timeline_next: Annotated[
        int | None,
        Field(
            description="More happened: give it as `after` for the next page; null: no more.", examples=[None]
        ),
    ]


class PaymentsPage(Model):
    """Payments, the newest first."""

    items: list[PaymentItem]
    next_cursor: Cursor


class HoldOfOutcome(Model):
    """A hold as it stands now: amount = captured + released + left."""

    hold: Id
    state: Literal["open", "captured", "voided", "expired"]
    amount: Amount
    captured: Total
    released: Total
    left: Total


class OutcomeAnswer(Model):
    """What became of an event; members that do not apply are left out."""

    event_id: Id
    event_type: Annotated[str, Field(examples=["transfer.post.v1"])]
    status: Literal["posted", "rejected", "duplicate"]
    transaction: Id | None = None
    entries: list[Entry] | None = None
    hold: HoldOfOutcome | None = None
    reason: Reason | None = None
    detail: Annotated[str | None, Field(examples=[None])] = None
    posted_at: Moment


class AssetTotalAnswer(Model):
    """All balances of one asset together; `difference` is 0, always. Totals may pass 64 bits."""

    asset: Asset
    posted_debits: Annotated[int, Field(ge=0, examples=[10_000])]
    posted_credits: Annotated[int, Field(ge=0, examples=[10_000])]
    difference: Annotated[int, Field(examples=[0])]
    held: Annotated[int, Field(ge=0, examples=[0])]
    balances: Annotated[int, Field(description="How many.", ge=0, examples=[2])]


class AccountsPage(Model):
    """Accounts in the order of their codes."""

    items: list[AccountAnswer]
    next_cursor: Cursor


class StatementPage(Model):
    """Entries, newest first."""

    items: list[EntryOfAccount]
    next_cursor: Cursor


class WindowsPage(Model):
    """Windows, oldest first."""

    items: list[WindowAnswer]
    next_cursor: Cursor


class TrialBalance(Model):
    """Totals by asset, all from one moment."""

    items: list[AssetTotalAnswer]
    next_cursor: Cursor


class Health(Model):
    """Whether the process works."""

    live: Annotated[bool, Field(examples=[True])]


class Readiness(Model):
    """Whether requests can be answered."""

    ready: Annotated[bool, Field(examples=[True])]


class Fault(Model):
    """What is wrong with one part of a request."""

    in_: Annotated[str, Field(alias="in", examples=["query"])]
    name: Annotated[str, Field(examples=["asset"])]
    message: Annotated[str, Field(examples=["asset 'USD/3': ISO 4217 gives USD the scale 2"])]


class Problem(BaseModel):
    """RFC 9457: a stable `code` for programs, `title` and `detail` for people."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(examples=["urn:ledger:problem:account_not_found"])]
    title: Annotated[str, Field(examples=["There is no such account"])]
    status: Annotated[int, Field(ge=400, le=599, examples=[404])]
    detail: Annotated[str, Field(examples=["No account customer:ann."])]
    instance: Annotated[str, Field(examples=["/v1/accounts/customer:ann"])]
    code: Annotated[str, Field(examples=["account_not_found"])]
    errors: list[Fault] | None = None
    correlation_id: Annotated[str | None, Field(examples=[None])] = None


class BreakerAnswer(Model):
    """Whether one worker's calls to a provider pass."""

    worker: Annotated[str, Field(description="Of the worker, as long as it runs.", examples=["5f0c2a9e"])]
    state: Annotated[
        Literal["closed", "half_open", "open"],
        Field(description="Closed: calls pass. Open: none does. Half-open: one at a time tries."),
    ]
    since: Annotated[
        Moment, Field(description="When it closed; of one that is not closed, when calls ceased to pass.")
    ]
    retry_at: Annotated[
        datetime | None,
        Field(description="When it tries again; null: it is not open.", examples=[EXAMPLE_TIME]),
    ]
    calls: Annotated[
        int, Field(description="Of late; of one that is not closed, those before it opened.", ge=0)
    ]
    bad: Annotated[int, Field(description="How many of them failed or were slow.", ge=0)]
    told_at: Moment


class ProviderItem(Model):
    """A provider of the tenant."""

    name: Annotated[str, Field(examples=["simulated"])]
    url: Annotated[str, Field(description="Scheme, host and port.", examples=["https://pay.example"])]
    when_down: Annotated[
        str,
        Field(
            description="What its payments do while its breaker is open: wait, or decline.", examples=["wait"]
        ),
    ]
    breakers: Annotated[
        list[BreakerAnswer], Field(description="Of each worker that asked it within the last seconds.")
    ]


class ProvidersAnswer(Model):
    """The providers of the tenant, by name."""

    items: list[ProviderItem]
