insert into providers (tenant_id, name, settings)
select tenant_id, $2, $3::jsonb from tenants where code = $1
on conflict (tenant_id, name) do update set settings = excluded.settings, changed_at = now()
