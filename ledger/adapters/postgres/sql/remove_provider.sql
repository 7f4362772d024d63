delete from providers p using tenants t
where t.tenant_id = p.tenant_id and t.code = $1 and p.name = $2
returning p.name
