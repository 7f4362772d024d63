create table providers (
    tenant_id int not null,
    name text not null,
    settings jsonb not null,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, name)
)
--;
grant select, insert, update, delete on providers to ledger_worker
--;
grant select on providers to ledger_api
--;
-- A webhook names its tenant, and is believed by its signature: until then, the one row of that tenant can be seen.
create policy the_tenant_of_a_webhook on tenants for select
    using (code = nullif(current_setting('ledger.webhook_tenant', true), ''))
--;
alter table providers enable row level security
--;
alter table providers force row level security
--;
create policy one_tenant on providers
    using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int)
