-- Materialized: claims are looked up of the few that have no link, and of no other.
with bare as materialized (
    select t.tenant_id, t.event_id, t.posted_at from transactions t
    where t.posted_at >= $1 and t.posted_at < $2
      and not exists (
          select from chain_links c where c.event_id = t.event_id and c.tenant_id = t.tenant_id
      )
)
select n.code as tenant, b.event_id::text as event_id
from bare b join tenants n using (tenant_id)
where exists (
          select from processed_events p
          where p.event_id = b.event_id and p.tenant_id = b.tenant_id and p.kind = 'posted'
      )
   or b.event_id < (select h.dropped_before from event_horizon h)
      and ($3::interval is null or b.event_id >= first_id_at(b.posted_at - $3::interval))
order by b.posted_at, b.event_id, b.tenant_id
