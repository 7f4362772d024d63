select "offset", tenant_id, event_id::text as event_id
from processed_events
where topic = $1 and "partition" = $2 and "offset" >= $3
order by "offset"
