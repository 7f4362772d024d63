-- A month of processed_events may have been dropped; what is older than that is not held to it.
with oldest as (select coalesce(max(dropped_before::text)::uuid, '00000000-0000-0000-0000-000000000000') as id
                from event_horizon)
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
select 'type of the outcome is not that of its transaction', p.tenant_id, p.event_id::text, p.type
from processed_events p join transactions t using (event_id, tenant_id)
where p.kind = 'posted' and p.type <> t.type
union all
select 'posted outcome without its hold', p.tenant_id, p.event_id::text, p.type
from processed_events p left join holds h using (event_id, tenant_id)
where p.kind = 'posted' and p.type in ('hold.place.v1', 'payment.request.v1') and h.event_id is null
union all
select 'hold without a posted outcome', h.tenant_id, h.event_id::text, p.kind
from holds h left join processed_events p using (event_id, tenant_id)
where (p.kind = 'posted' and p.type in ('hold.place.v1', 'payment.request.v1')) is not true
  and h.event_id >= (select id from oldest)
union all
select 'posted outcome without its payment', p.tenant_id, p.event_id::text, p.type
from processed_events p left join payments y using (event_id, tenant_id)
where p.kind = 'posted' and p.type = 'payment.request.v1' and y.event_id is null
union all
select 'payment without a posted outcome', y.tenant_id, y.event_id::text, p.kind
from payments y left join processed_events p using (event_id, tenant_id)
where (p.kind, p.type) is distinct from ('posted', 'payment.request.v1') and y.event_id >= (select id from oldest)
union all
select 'refused without a reason, or the other way round', tenant_id, event_id::text, kind
from processed_events where (kind = 'rejected') <> (reason is not null)
union all
select 'outcome without a time', p.tenant_id, p.event_id::text, p.type
from processed_events p where p.posted_at is null
  and (p.kind <> 'posted' or p.type not in
      ('transfer.post.v1', 'transaction.post.v1', 'transaction.reverse.v1', 'hold.capture.v1'))
  and not exists (select from transactions t where t.event_id = p.event_id and t.tenant_id = p.tenant_id)
union all
select 'two events first seen at one offset', min(tenant_id), min(event_id::text), concat_ws('/', topic, "partition", "offset")
from processed_events where "offset" is not null group by topic, "partition", "offset" having count(*) > 1
limit 100
