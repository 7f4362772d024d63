select t.code as tenant, p.name, p.settings from providers p join tenants t using (tenant_id) order by 1, 2
