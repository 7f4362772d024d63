-- Seen in a transaction that says whose webhook it is: that tenant's row, and its provider's.
select p.sealed_secrets
from tenants t join providers p using (tenant_id)
where t.code = $1 and p.name = $2
