with taken as (
    select x.tenant_id, x.captures, -sum(e.amount) as captured
    from transactions x join entries e on e.event_id = x.event_id and e.tenant_id = x.tenant_id
    where x.captures is not null and e.amount < 0 group by 1, 2
)
select t.code || '/' || coalesce(h.event_id, k.captures) as subject,
       concat_ws(' ', 'captured', coalesce(h.captured, 0), 'and its transactions', coalesce(k.captured, 0)) as detail
from holds h full join taken k on k.tenant_id = h.tenant_id and k.captures = h.event_id
left join tenants t on t.tenant_id = coalesce(h.tenant_id, k.tenant_id)
where coalesce(h.captured, 0) <> coalesce(k.captured, 0)
