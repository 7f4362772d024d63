-- The audit chain: a link for each posted transaction, with the hash of the one before it. A worker of its own
-- writes it, away from posting.
create table chain_links (
    tenant_id int not null,
    number bigint not null check (number > 0),
    event_id uuid not null,
    digest bytea not null check (length(digest) = 32),
    hash bytea not null check (length(hash) = 32),
    late boolean not null,
    primary key (tenant_id, number),
    constraint chain_links_by_transaction unique (event_id, tenant_id)
)
--;
comment on column chain_links.late is 'its transaction was found in the books, and not heard of in the stream'
--;
-- Whoever adds links to a tenant's chain has its row here locked.
create table chain_heads (
    tenant_id int primary key,
    number bigint not null check (number >= 0),
    hash bytea not null check (length(hash) = 32)
)
--;
create table chain_progress (
    only_row boolean primary key default true check (only_row),
    complete_before timestamptz not null
)
--;
comment on table chain_progress is 'all that was posted before this time, and claimed, has its link'
--;
-- In new books at once; in books that may hold something `ledger migrate` makes it beside posting. By the size of
-- the table: row-level security hides rows from its owner.
do $$
begin
    if pg_relation_size('transactions') = 0 then
        create index transactions_by_time on transactions using brin (posted_at) with (autosummarize = on);
    end if;
end $$
--;
create trigger chain_links_are_final before update or delete or truncate on chain_links
    for each statement execute function refuse_change()
--;
grant select, insert on chain_links, chain_heads, chain_progress to ledger_worker
--;
grant update on chain_heads, chain_progress to ledger_worker
--;
do $$
declare
    name text;
begin
    foreach name in array array['chain_links', 'chain_heads'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format($policy$
            create policy one_tenant on %I
            using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int)$policy$, name);
    end loop;
end $$
