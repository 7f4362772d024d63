insert into api_keys (key_id, tenant_id, name, secret_hmac, scopes, created_at, created_by, expires_at)
select $1, t.tenant_id, $3, $4, $5::text[], $6, $7, $8 from tenants t where t.code = $2
on conflict (key_id) do nothing
returning key_id
