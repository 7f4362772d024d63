-- The opening of an account that stands so is a duplicate by itself.
with came as (
    select tenant, event_id, count(*) as times, count(distinct content) as contents
    from logged where event_id is not null group by 1, 2
)
select distinct s.tenant || '/' || s.event_id as subject, concat_ws(' ', s.kind, s.reason, c.times, 'times') as detail
from told s join came c on c.tenant = s.tenant and c.event_id = s.event_id
join tenants t on t.code = s.tenant
join processed_events p on p.event_id = s.event_id and p.tenant_id = t.tenant_id
where (s.kind = 'duplicate' and p.kind <> 'duplicate' and c.times = 1)
   or (s.reason = 'event_id_reused' and c.contents = 1)
