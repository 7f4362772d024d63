with originals as (
    select e.tenant_id, e.event_id, count(*) as lines, max(abs(e.amount)) as size from entries e group by 1, 2
), taken as (
    select x.tenant_id, x.reverses, count(distinct x.event_id) as times,
           sum(-e.amount) filter (where e.amount < 0) as moved
    from transactions x join entries e on e.event_id = x.event_id and e.tenant_id = x.tenant_id
    where x.reverses is not null group by 1, 2
)
select t.code || '/' || k.reverses as subject,
       concat_ws(' ', o.size, 'in', o.lines, 'lines, reversed', k.times, 'times by', k.moved, 'noted', r.reversed) as detail
from taken k join tenants t using (tenant_id)
left join originals o on o.tenant_id = k.tenant_id and o.event_id = k.reverses
left join reversals r on r.tenant_id = k.tenant_id and r.event_id = k.reverses
where o.event_id is null or (o.lines = 2 and k.moved > o.size) or (o.lines > 2 and k.times > 1)
   or r.reversed is distinct from case when o.lines = 2 then k.moved else k.times end
