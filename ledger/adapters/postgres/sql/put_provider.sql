insert into providers (tenant_id, name, settings, sealed_secrets)
select tenant_id, $2, $3::jsonb, $4 from tenants where code = $1
on conflict (tenant_id, name) do update
set settings = excluded.settings, sealed_secrets = excluded.sealed_secrets, changed_at = now()
