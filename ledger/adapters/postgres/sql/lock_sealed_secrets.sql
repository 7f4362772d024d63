select t.code as tenant, p.name, p.sealed_secrets
from providers p join tenants t using (tenant_id)
where p.sealed_secrets is not null
order by p.tenant_id, p.name
for update of p
