-- Of `ledger:TENANT` the tenant is enough, if it is another one.
select k.tenant_id, k.name
from unnest($1::int[], $2::text[]) as k (tenant_id, name)
where case when k.name like 'ledger:%'
    then exists (select from tenants t where t.code = substr(k.name, 8) and t.tenant_id <> k.tenant_id)
    else exists (select from providers p where p.tenant_id = k.tenant_id and p.name = k.name) end
