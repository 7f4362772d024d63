select concat_ws('/', $1::text, l."partition", l."offset") as subject,
       concat_ws(' ', 'the record is', coalesce(l.letter, l.tenant || '/' || l.event_id || ' ' || l.type),
                 'and the books have', t.code || '/' || p.event_id, p.type) as detail
from processed_events p join tenants t using (tenant_id)
join logged l on (l."partition", l."offset") = (p."partition", p."offset")
where p.topic = $1 and (l.tenant, l.event_id, l.type) is distinct from (t.code, p.event_id, p.type)
