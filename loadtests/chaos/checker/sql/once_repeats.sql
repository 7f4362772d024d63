-- A hold is shown as it stands when it is told, and is left out of the body.
select tenant || '/' || event_id as subject, count(distinct body) || ' different tellings' as detail
from told where kind = 'posted' or (kind = 'rejected' and reason <> 'event_id_reused')
group by tenant, event_id, kind having count(distinct body) > 1
