select t.code || '/' || p.event_id as subject,
       concat_ws(' ', p.type, 'at', p."partition", p."offset") as detail
from processed_events p join tenants t using (tenant_id)
left join spans s on s."partition" = p."partition"
left join logged l on (l."partition", l."offset") = (p."partition", p."offset")
where p.topic = $1 and l."offset" is null and p."offset" >= coalesce(s.first, 0)
