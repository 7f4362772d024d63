-- Secrets are kept sealed: nobody reads them here. A name with a colon is another tenant of this ledger.
create table providers (
    tenant_id int not null,
    name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    settings jsonb not null check (jsonb_typeof(settings) = 'object' and not jsonb_exists(settings, 'secrets')),
    sealed_secrets text,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, name)
)
--;
-- What each payments worker says of the breakers that it has; a worker that says nothing any more is gone.
create table provider_breakers (
    tenant_id int not null,
    provider text not null,
    worker text not null,
    state text not null check (state in ('closed', 'half_open', 'open')),
    since timestamptz not null,
    retry_at timestamptz,
    calls int not null,
    bad int not null,
    told_at timestamptz not null,
    primary key (tenant_id, provider, worker)
)
--;
grant select, insert, update, delete on providers, provider_breakers to ledger_worker
--;
grant select on providers, provider_breakers to ledger_api
--;
-- A webhook names its tenant, and is believed by its signature: until then, that tenant's row can be seen, and the
-- sealed secrets of its providers.
create policy the_tenant_of_a_webhook on tenants for select
    using (code = nullif(current_setting('ledger.webhook_tenant', true), ''))
--;
do $$
declare
    name text;
begin
    foreach name in array array['providers', 'provider_breakers'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format($policy$
            create policy one_tenant on %I
            using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int)$policy$, name);
    end loop;
end $$
--;
create policy the_tenant_of_a_webhook on providers for select
    using (tenant_id = (
        select t.tenant_id from tenants t where t.code = nullif(current_setting('ledger.webhook_tenant', true), '')
    ))
