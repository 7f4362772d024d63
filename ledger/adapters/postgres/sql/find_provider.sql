select p.settings, p.sealed_secrets
from providers p join tenants t using (tenant_id)
where t.code = $1 and p.name = $2
