-- Keys of the API. Of the secret only an HMAC is kept; the key's id is not secret, and finds the row.
create table api_keys (
    key_id text primary key check (key_id ~ '^[A-Za-z0-9]{16}$'),
    tenant_id int not null references tenants (tenant_id),
    name text not null,
    secret_hmac bytea not null check (length(secret_hmac) = 32),
    scopes text[] not null check (scopes <@ array['read', 'write', 'admin'] and cardinality(scopes) > 0),
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
)
--;
create index api_keys_by_tenant on api_keys (tenant_id, created_at)
--;
alter table api_keys enable row level security
--;
alter table api_keys force row level security
--;
-- The tenant is known only after the key is: until then, the one row of the key that was presented can be seen.
create policy one_tenant_or_the_key_presented on api_keys
using (tenant_id = nullif(current_setting('ledger.tenant_id', true), '')::int
       or key_id = nullif(current_setting('ledger.key_id', true), ''))
--;
grant select, insert on api_keys to ledger_worker
--;
grant update (expires_at, revoked_at) on api_keys to ledger_worker
--;
grant select on api_keys to ledger_api
--;
grant update (last_used_at) on api_keys to ledger_api
