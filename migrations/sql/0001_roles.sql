-- Two roles without a login, taken on with `set role`: the worker posts for every tenant (PostgreSQL refuses
-- COPY under row-level security), the API reads one tenant at a time. Nobody may change what was posted.
do $$ begin
    begin
        create role ledger_worker nologin bypassrls;
    exception when duplicate_object or unique_violation then null;
    end;
    begin
        create role ledger_api nologin nobypassrls;
    exception when duplicate_object or unique_violation then null;
    end;
    execute format('grant ledger_worker, ledger_api to %I', current_user);
    execute format('grant usage on schema %I to ledger_worker, ledger_api', current_schema());
end $$
--;
grant select, insert on tenants, accounts, balances, transactions, entries, holds, reversals, processed_events,
    dead_letters, stream_offsets to ledger_worker
--;
grant select on event_horizon to ledger_worker
--;
grant update on accounts, balances, holds, reversals, processed_events, stream_offsets to ledger_worker
--;
grant execute on function make_event_partitions to ledger_worker
--;
grant select on tenants, accounts, balances, transactions, entries, holds, reversals, processed_events
    to ledger_api
--;
do $$
declare
    name text;
begin
    foreach name in array array['tenants', 'accounts', 'balances', 'transactions', 'entries', 'holds',
                                'reversals', 'processed_events'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format($policy$
            create policy one_tenant on %I
            using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int)$policy$, name);
    end loop;
end $$
