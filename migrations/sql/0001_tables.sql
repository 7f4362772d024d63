create table tenants (
    tenant_id int generated always as identity primary key,
    code text not null unique,
    auto_open boolean not null default true,
    created_at timestamptz not null default now()
)
--;
create table accounts (
    tenant_id int not null,
    account_id bigint generated always as identity,
    code text not null,
    normal_side text not null check (normal_side in ('credit', 'debit')),
    overdraft bigint check (overdraft >= 0),
    metadata jsonb,
    opened_at timestamptz not null,
    closed_at timestamptz,
    primary key (tenant_id, account_id),
    unique (tenant_id, code)
)
--;
comment on column accounts.overdraft is 'minor units of any asset; null: no limit'
--;
-- One row for each account and asset, updated by every posting: half of each page stays free, and no
-- index covers what changes, so that updates stay on their page (HOT).
create table balances (
    tenant_id int not null,
    balance_id bigint generated always as identity,
    account_id bigint not null,
    asset text not null,
    normal_side text not null,
    overdraft bigint,
    closed boolean not null default false,
    posted_debits bigint not null check (posted_debits >= 0),
    posted_credits bigint not null check (posted_credits >= 0),
    held bigint not null check (held >= 0),
    version bigint not null,
    last_posted_at timestamptz,
    primary key (tenant_id, balance_id),
    unique (tenant_id, account_id, asset),
    constraint within_overdraft check (
        overdraft is null
        or case when normal_side = 'credit' then posted_credits - posted_debits
                else posted_debits - posted_credits end - held >= -overdraft
    )
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)
--;
comment on column balances.version is 'number of its entries: 1, 2, 3 … without gaps'
--;
create table transactions (
    event_id uuid not null,
    tenant_id int not null,
    type text not null,
    posted_at timestamptz not null,
    effective_at timestamptz not null,
    reference text,
    metadata jsonb,
    reverses uuid,
    captures uuid,
    primary key (event_id, tenant_id)
)
--;
comment on column transactions.captures is 'the hold that it captures; reverses: the transaction that it takes back'
--;
create table entries (
    tenant_id int not null,
    balance_id bigint not null,
    version bigint not null,
    event_id uuid not null,
    line smallint not null,
    asset text not null,
    amount bigint not null check (amount <> 0),
    posted_debits bigint not null,
    posted_credits bigint not null,
    posted_at timestamptz not null,
    primary key (tenant_id, balance_id, version)
)
--;
comment on column entries.amount is 'minor units: + credits, - debits; the totals are those after the entry'
--;
create index entries_by_transaction on entries (event_id, tenant_id)
--;
create table holds (
    event_id uuid not null,
    tenant_id int not null,
    debit text not null,
    credit text not null,
    asset text not null,
    amount bigint not null,
    amount_left bigint not null,
    captured bigint not null,
    released bigint not null,
    state text not null check (state in ('open', 'captured', 'voided', 'expired')),
    placed_at timestamptz not null,
    expires_at timestamptz,
    reference text,
    primary key (event_id, tenant_id),
    check (amount = amount_left + captured + released),
    check (amount_left >= 0 and captured >= 0 and released >= 0),
    check ((state = 'open') = (amount_left > 0))
)
--;
create index holds_to_expire on holds (expires_at) where state = 'open' and expires_at is not null
--;
create table reversals (
    event_id uuid not null,
    tenant_id int not null,
    size bigint not null,
    reversed bigint not null check (reversed > 0 and reversed <= size),
    primary key (event_id, tenant_id)
)
--;
comment on table reversals is 'how much of a transaction was reversed; one of more than two entries counts as 1'
--;
create table processed_events (
    event_id uuid not null,
    tenant_id int not null,
    fingerprint bytea not null,
    type text not null,
    kind text not null check (kind in ('posted', 'rejected', 'duplicate')),
    reason text,
    detail text,
    posted_at timestamptz not null,
    topic text,
    "partition" int,
    "offset" bigint,
    primary key (event_id, tenant_id)
) partition by range (event_id)
--;
comment on column processed_events."offset" is 'where in its partition of the topic the id was first seen'
--;
create table event_horizon (
    only_row boolean primary key default true check (only_row),
    dropped_before uuid not null
)
--;
comment on table event_horizon is 'ids before this one were dropped, so whatever the settings say they are too old'
--;
create table dead_letters (
    topic text not null,
    "partition" int not null,
    "offset" bigint not null,
    key bytea,
    value bytea,
    headers json not null,
    timestamp_ms bigint,
    reason text not null,
    detail text not null,
    at timestamptz not null,
    primary key (topic, "partition", "offset")
)
--;
create table stream_offsets (
    topic text not null,
    "partition" int not null,
    next_offset bigint not null,
    moved_at timestamptz not null default now(),
    primary key (topic, "partition")
)
