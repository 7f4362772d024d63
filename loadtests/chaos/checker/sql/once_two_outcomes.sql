select tenant || '/' || event_id as subject, string_agg(distinct kind || coalesce(' ' || reason, ''), ', ') as detail
from told where kind <> 'duplicate' and reason is distinct from 'event_id_reused'
group by tenant, event_id having count(distinct kind || coalesce(' ' || reason, '')) > 1
