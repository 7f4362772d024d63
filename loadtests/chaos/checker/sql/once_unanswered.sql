-- Every further record with an id is answered, each at least once: the same content as a duplicate, other content as reused.
with firsts as (
    select p.event_id, t.code as tenant, l.content, p."partition", p."offset"
    from processed_events p join tenants t using (tenant_id)
    join logged l on (l."partition", l."offset") = (p."partition", p."offset") and l.event_id = p.event_id
    where p.topic = $1
), further as (
    select f.tenant, f.event_id, l.content = f.content as same, count(*) as times
    from logged l join firsts f on f.event_id = l.event_id and f.tenant = l.tenant
    where (l."partition", l."offset") <> (f."partition", f."offset")
    group by 1, 2, 3
), answers as (
    select tenant, event_id, kind = 'duplicate' as same, count(*) as times
    from told where kind = 'duplicate' or reason = 'event_id_reused' group by 1, 2, 3
)
select f.tenant || '/' || f.event_id as subject,
       f.times || ' more with ' || case when f.same then 'the same' else 'other' end || ' content, '
       || coalesce(a.times, 0) || ' answered so' as detail
from further f left join answers a using (tenant, event_id, same) where coalesce(a.times, 0) < f.times
