-- A month of processed_events may have been dropped; transactions older than the oldest kept are not held to it.
with oldest as (select min(event_id::text)::uuid as id from processed_events)
select 'transaction without a posted outcome' as what, t.tenant_id, t.event_id::text as event, p.kind
from transactions t left join processed_events p using (event_id, tenant_id)
where p.kind is distinct from 'posted' and t.event_id >= (select id from oldest)
union all
select 'posted outcome without its transaction', p.tenant_id, p.event_id::text, p.type
from processed_events p left join transactions t using (event_id, tenant_id)
where p.kind = 'posted' and t.event_id is null
  and p.type in ('transfer.post.v1', 'transaction.post.v1', 'transaction.reverse.v1', 'hold.capture.v1')
union all
select 'entries without their transaction', e.tenant_id, e.event_id::text, null
from entries e left join transactions t using (event_id, tenant_id) where t.event_id is null
union all
select 'refused without a reason', tenant_id, event_id::text, kind
from processed_events where kind = 'rejected' and reason is null
union all
select 'two events first seen at one offset', min(tenant_id), min(event_id::text), "partition" || '/' || "offset"
from processed_events where "offset" is not null group by "partition", "offset" having count(*) > 1
limit 100
