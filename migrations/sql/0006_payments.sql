-- What was asked for never changes; what follows `version` is stored anew with each move of the saga.
create table payments (
    event_id uuid not null,
    tenant_id int not null,
    debit text not null,
    credit text not null,
    amount bigint not null check (amount > 0),
    asset text not null,
    provider text not null,
    fee_account text,
    fee_amount bigint not null check (fee_amount >= 0 and fee_amount < amount),
    reference text,
    deadline timestamptz not null,
    created_at timestamptz not null,
    version int not null check (version > 0),
    state text not null,
    step text,
    publishes uuid,
    due_at timestamptz,
    ends_at timestamptz,
    saga json not null,
    lane text collate "C" not null generated always as (
        case when step in ('charge', 'refund') and state <> 'needs_operator' then provider else '' end
    ) stored,
    begun boolean not null generated always as (state <> 'funds_held') stored,
    primary key (event_id, tenant_id),
    check ((fee_account is null) = (fee_amount = 0)),
    check ((due_at is null) = (state in ('settled', 'declined', 'released', 'expired', 'refunded')))
) with (fillfactor = 70)
--;
comment on column payments.due_at is
    'when its saga must be woken, or while a worker has claimed it, when that claim ends; null: at an end'
--;
comment on column payments.publishes is 'the one event that may capture or void its hold, if it has come so far'
--;
create index payments_by_tenant on payments (tenant_id, event_id)
--;
comment on column payments.lane is 'the provider that is asked next; empty: none'
--;
comment on column payments.ends_at is 'when it ends by itself, if its provider is not asked before; null: not so'
--;
comment on column payments.begun is 'whether its provider was asked before: these go first'
--;
create index payments_due on payments (tenant_id, lane, begun, due_at) where due_at is not null
--;
create index payments_due_lanes on payments (due_at, tenant_id, lane) where due_at is not null
--;
create index payments_publishing on payments (publishes) where publishes is not null
--;
create index payments_ending on payments (ends_at) where ends_at is not null
--;
create table payment_steps (
    event_id uuid not null,
    tenant_id int not null,
    number int not null,
    at timestamptz not null,
    happening text not null,
    verdict text not null,
    state text not null,
    commands text[] not null,
    attempt int,
    begins boolean not null,
    publishes uuid,
    next_at timestamptz,
    detail text,
    done_by text,
    primary key (event_id, tenant_id, number),
    check (not begins or attempt is not null)
)
--;
comment on table payment_steps is 'the timeline: one line for each version of a saga, stored with it'
--;
create unique index payment_steps_begun on payment_steps (event_id, tenant_id, attempt) where begins
--;
grant select, insert, update (version, state, step, publishes, due_at, ends_at, saga) on payments to ledger_worker
--;
grant select, insert on payment_steps to ledger_worker
--;
-- Under which the ids of legs are derived: whoever knows it can use them up. It never changes, as the ids must not.
create table leg_secret (
    only_row boolean primary key default true check (only_row),
    secret text not null default gen_random_uuid()::text || gen_random_uuid()::text
)
--;
insert into leg_secret default values
--;
grant select on leg_secret to ledger_worker
--;
grant select on payments, payment_steps to ledger_api
--;
do $$
declare
    name text;
begin
    foreach name in array array['payments', 'payment_steps'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format($policy$
            create policy one_tenant on %I
            using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int)$policy$, name);
    end loop;
end $$
