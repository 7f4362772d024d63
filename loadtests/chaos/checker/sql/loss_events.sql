select concat_ws('/', $1::text, l."partition", l."offset") as subject, l.tenant || '/' || l.event_id || ' ' || l.type as detail
from logged l
where l.event_id is not null and not exists (
    select from processed_events p join tenants t using (tenant_id) where p.event_id = l.event_id and t.code = l.tenant
) and not exists (
    select from dead_letters d where d.topic = $1 and (d."partition", d."offset") = (l."partition", l."offset")
)
