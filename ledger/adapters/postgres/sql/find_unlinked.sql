select n.code as tenant, t.event_id::text as event_id
from transactions t join tenants n using (tenant_id)
where t.posted_at < $1
  and not exists (
      select from chain_links c where c.event_id = t.event_id and c.tenant_id = t.tenant_id
  )
  and (exists (
          select from processed_events p
          where p.event_id = t.event_id and p.tenant_id = t.tenant_id and p.kind = 'posted'
      ) or t.event_id < (select h.dropped_before from event_horizon h))
order by t.posted_at, t.event_id, t.tenant_id
