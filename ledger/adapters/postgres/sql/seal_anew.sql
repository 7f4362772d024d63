update providers p set sealed_secrets = k.sealed
from unnest($1::text[], $2::text[], $3::text[]) as k (tenant, name, sealed)
join tenants t on t.code = k.tenant
where p.tenant_id = t.tenant_id and p.name = k.name
