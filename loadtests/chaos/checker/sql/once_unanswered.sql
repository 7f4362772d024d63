-- Every further record with an id is answered, each at least once: the same content as a duplicate, other content as reused.
-- What came and what was answered are counted in one pass: of a join of the two, planners make one of each with each.
with firsts as (
    select p.event_id, t.code as tenant, l.content, p."partition", p."offset"
    from processed_events p join tenants t using (tenant_id)
    join logged l on (l."partition", l."offset") = (p."partition", p."offset") and l.event_id = p.event_id
    where p.topic = $1
), counted as (
    select f.tenant, f.event_id, l.content = f.content as same, 1 as came, 0 as answered
    from logged l join firsts f on f.event_id = l.event_id and f.tenant = l.tenant
    where (l."partition", l."offset") <> (f."partition", f."offset")
    union all
    select tenant, event_id, kind = 'duplicate', 0, 1
    from told where kind = 'duplicate' or reason = 'event_id_reused'
)
select tenant || '/' || event_id as subject,
       sum(came) || ' more with ' || case when same then 'the same' else 'other' end || ' content, '
       || sum(answered) || ' answered so' as detail
from counted group by tenant, event_id, same having sum(answered) < sum(came)
