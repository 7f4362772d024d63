with told_of as (
    select tenant, event_id from told union select tenant, transaction from told_entries
)
select s.tenant || '/' || s.event_id as subject, 'the record is of ' || string_agg(distinct l.tenant, ', ') as detail
from told_of s join logged l on l.event_id = s.event_id
where not exists (select from logged o where o.event_id = s.event_id and o.tenant = s.tenant)
group by s.tenant, s.event_id
