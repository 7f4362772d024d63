select coalesce(n.code, t.tenant_id::text) as tenant, t.event_id::text as event_id
from transactions t left join tenants n using (tenant_id)
where t.posted_at < $1
  and not exists (
      select from chain_links c where c.event_id = t.event_id and c.tenant_id = t.tenant_id
  )
order by t.posted_at, t.event_id, t.tenant_id limit $2
