"""The tables of the books as SQLAlchemy Core sees them, for reading; the migrations make them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from ledger.adapters.postgres.chain_tables import chain_tables, verification_table

METADATA = sa.MetaData()
_big = sa.BigInteger
_moment = sa.DateTime(timezone=True)

tenants = sa.Table(
    "tenants",
    METADATA,
    sa.Column("tenant_id", sa.Integer, sa.Identity(always=True), primary_key=True),
    sa.Column("code", sa.Text, nullable=False, unique=True),
    sa.Column("auto_open", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("created_at", _moment, nullable=False, server_default=sa.func.now()),
)

accounts = sa.Table(
    "accounts",
    METADATA,
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("account_id", _big, sa.Identity(always=True), primary_key=True),
    sa.Column("code", sa.Text(collation="C"), nullable=False),
    sa.Column("normal_side", sa.Text, nullable=False),
    sa.Column("overdraft", _big, comment="minor units of any asset; null: no limit"),
    sa.Column("metadata", pg.JSONB),
    sa.Column("opened_at", _moment, nullable=False),
    sa.Column("closed_at", _moment),
    sa.UniqueConstraint("tenant_id", "code"),
)

balances = sa.Table(
    "balances",
    METADATA,
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("balance_id", _big, sa.Identity(always=True), primary_key=True),
    sa.Column("account_id", _big, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("normal_side", sa.Text, nullable=False),
    sa.Column("overdraft", _big),
    sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("posted_debits", _big, nullable=False),
    sa.Column("posted_credits", _big, nullable=False),
    sa.Column("held", _big, nullable=False),
    sa.Column("version", _big, nullable=False, comment="number of its entries: 1, 2, 3 … without gaps"),
    sa.Column("last_posted_at", _moment),
    sa.Column(
        "made_at", _moment, nullable=False, server_default=sa.func.now(), comment="when made or migrated"
    ),
    sa.UniqueConstraint("tenant_id", "account_id", "asset"),
)

transactions = sa.Table(
    "transactions",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("posted_at", _moment, nullable=False),
    sa.Column("effective_at", _moment, nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("metadata", pg.JSONB),
    sa.Column("reverses", sa.Uuid),
    sa.Column(
        "captures",
        sa.Uuid,
        comment="the hold that it captures; reverses: the transaction that it takes back",
    ),
    sa.Index("transactions_by_time", "posted_at", postgresql_using="brin"),
    sa.Index(
        "transactions_by_reversed",
        "reverses",
        "tenant_id",
        postgresql_where=sa.text("reverses is not null"),
    ),
    sa.Index(
        "transactions_by_captured",
        "captures",
        "tenant_id",
        postgresql_where=sa.text("captures is not null"),
    ),
)

entries = sa.Table(
    "entries",
    METADATA,
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("balance_id", _big, primary_key=True),
    sa.Column("version", _big, primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("line", sa.SmallInteger, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column(
        "amount",
        _big,
        nullable=False,
        comment="minor units: + credits, - debits; the totals are those after the entry",
    ),
    sa.Column("posted_debits", _big, nullable=False),
    sa.Column("posted_credits", _big, nullable=False),
    sa.Column("posted_at", _moment, nullable=False),
    sa.Index("entries_by_transaction", "event_id", "tenant_id"),
)

holds = sa.Table(
    "holds",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("debit", sa.Text, nullable=False),
    sa.Column("credit", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("amount", _big, nullable=False),
    sa.Column("amount_left", _big, nullable=False),
    sa.Column("captured", _big, nullable=False),
    sa.Column("released", _big, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("placed_at", _moment, nullable=False),
    sa.Column("expires_at", _moment),
    sa.Column("reference", sa.Text),
    sa.Index(
        "holds_to_expire",
        "expires_at",
        postgresql_where=sa.text("state = 'open' and expires_at is not null"),
    ),
    sa.Index(
        "open_holds",
        "tenant_id",
        "debit",
        "asset",
        "event_id",
        postgresql_where=sa.text("state = 'open'"),
    ),
)

reversals = sa.Table(
    "reversals",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("size", _big, nullable=False),
    sa.Column("reversed", _big, nullable=False),
    comment="how much of a transaction was reversed; one of more than two entries counts as 1",
)

processed_events = sa.Table(
    "processed_events",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("posted_at", _moment, comment="when it was decided; null: when its transaction was posted"),
    sa.Column("topic", sa.Text),
    sa.Column("partition", sa.Integer),
    sa.Column("offset", _big, comment="where in its partition of the topic the id was first seen"),
    postgresql_partition_by="RANGE (event_id)",
)

event_horizon = sa.Table(
    "event_horizon",
    METADATA,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("dropped_before", sa.Uuid, nullable=False),
    comment="ids before this one were dropped, so whatever the settings say they are too old",
)

dead_letters = sa.Table(
    "dead_letters",
    METADATA,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("offset", _big, primary_key=True),
    sa.Column("key", sa.LargeBinary),
    sa.Column("value", sa.LargeBinary),
    sa.Column("headers", pg.JSON, nullable=False),
    sa.Column("timestamp_ms", _big),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("at", _moment, nullable=False),
    sa.Index("dead_letters_by_time", "at", "topic", "partition", "offset"),
)

dead_letter_actions = sa.Table(
    "dead_letter_actions",
    METADATA,
    sa.Column("action_id", _big, sa.Identity(always=True), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", _big, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("why", sa.Text),
    sa.Column("done_by", sa.Text, nullable=False),
    sa.Column("at", _moment, nullable=False),
    sa.Column(
        "edited_value",
        sa.LargeBinary,
        comment="what was sent instead of the letter; null: the letter itself",
    ),
    sa.ForeignKeyConstraint(
        ["topic", "partition", "offset"],
        ["dead_letters.topic", "dead_letters.partition", "dead_letters.offset"],
    ),
    sa.Index("dead_letter_actions_by_letter", "topic", "partition", "offset", "action_id"),
)

stream_offsets = sa.Table(
    "stream_offsets",
    METADATA,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("next_offset", _big, nullable=False),
    sa.Column("moved_at", _moment, nullable=False, server_default=sa.func.now()),
)

accepted_gaps = sa.Table(
    "accepted_gaps",
    METADATA,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("first_offset", _big, primary_key=True),
    sa.Column("next_offset", _big, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("done_by", sa.Text, nullable=False),
    sa.Column("at", _moment, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenants.tenant_id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_hmac", sa.LargeBinary, nullable=False),
    sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("created_at", _moment, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", _moment),
    sa.Column("revoked_at", _moment),
    sa.Column("last_used_at", _moment),
    sa.Column("ended_sessions", pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'::text[]")),
    sa.Index("api_keys_by_tenant", "tenant_id", "created_at"),
)

# As PostgreSQL writes it.
_ASKS = (
    "case when step = any (array['charge'::text, 'refund'::text]) and state <> 'needs_operator'::text "
    "then provider else ''::text end"
)

payments = sa.Table(
    "payments",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("debit", sa.Text, nullable=False),
    sa.Column("credit", sa.Text, nullable=False),
    sa.Column("amount", _big, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("fee_account", sa.Text),
    sa.Column("fee_amount", _big, nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("deadline", _moment, nullable=False),
    sa.Column("created_at", _moment, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("step", sa.Text),
    sa.Column(
        "publishes",
        sa.Uuid,
        comment="the one event that may capture or void its hold, if it has come so far",
    ),
    sa.Column(
        "due_at",
        _moment,
        comment="when its saga must be woken, or while a worker has claimed it, when that claim ends; "
        "null: at an end",
    ),
    sa.Column(
        "ends_at",
        _moment,
        comment="when it ends by itself, if its provider is not asked before; null: not so",
    ),
    sa.Column("saga", pg.JSON, nullable=False),
    sa.Column(
        "lane",
        sa.Text(collation="C"),
        sa.Computed(_ASKS, persisted=True),
        nullable=False,
        comment="the provider that is asked next; empty: none",
    ),
    sa.Column(
        "begun",
        sa.Boolean,
        sa.Computed("state <> 'funds_held'::text", persisted=True),
        nullable=False,
        comment="whether its provider was asked before: these go first",
    ),
    sa.Index("payments_by_tenant", "tenant_id", "event_id"),
    sa.Index(
        "payments_due", "tenant_id", "lane", "begun", "due_at", postgresql_where=sa.text("due_at is not null")
    ),
    sa.Index(
        "payments_due_lanes", "due_at", "tenant_id", "lane", postgresql_where=sa.text("due_at is not null")
    ),
    sa.Index("payments_publishing", "publishes", postgresql_where=sa.text("publishes is not null")),
    sa.Index("payments_ending", "ends_at", postgresql_where=sa.text("ends_at is not null")),
)

payment_steps = sa.Table(
    "payment_steps",
    METADATA,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", _moment, nullable=False),
    sa.Column("happening", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("commands", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("attempt", sa.Integer),
    sa.Column("begins", sa.Boolean, nullable=False),
    sa.Column("publishes", sa.Uuid),
    sa.Column("next_at", _moment),
    sa.Column("detail", sa.Text),
    sa.Column("done_by", sa.Text),
    sa.Index(
        "payment_steps_begun",
        "event_id",
        "tenant_id",
        "attempt",
        unique=True,
        postgresql_where=sa.text("begins"),
    ),
    comment="the timeline: one line for each version of a saga, stored with it",
)

leg_secret = sa.Table(
    "leg_secret",
    METADATA,
    sa.Column(
        "only_row", sa.Boolean, sa.CheckConstraint("only_row"), primary_key=True, server_default="true"
    ),
    sa.Column(
        "secret",
        sa.Text,
        nullable=False,
        server_default=sa.text("((gen_random_uuid())::text || (gen_random_uuid())::text)"),
    ),
)

providers = sa.Table(
    "providers",
    METADATA,
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("settings", pg.JSONB, nullable=False),
    sa.Column("sealed_secrets", sa.Text),
    sa.Column("changed_at", _moment, nullable=False, server_default=sa.func.now()),
)

provider_breakers = sa.Table(
    "provider_breakers",
    METADATA,
    sa.Column("tenant_id", sa.Integer, primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since", _moment, nullable=False),
    sa.Column("retry_at", _moment),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("bad", sa.Integer, nullable=False),
    sa.Column("told_at", _moment, nullable=False),
)

replays = sa.Table(
    "replays",
    METADATA,
    sa.Column("replay_id", sa.Uuid, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("source", pg.JSON, nullable=False),
    sa.Column("done_by", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("started_at", _moment, nullable=False),
    sa.Column("saved_at", _moment, nullable=False),
    sa.Column("ended_at", _moment),
    sa.Column("state", pg.JSON, nullable=False),
    sa.Column("counts", pg.JSON, nullable=False),
    comment="state: by partition, the next offset to replay and the time that its order has reached",
)

chain_links, chain_heads, chain_progress = chain_tables(METADATA)
verifications = verification_table(METADATA)
