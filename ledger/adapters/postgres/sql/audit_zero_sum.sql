select 'transaction does not sum to zero' as what, tenant_id, event_id::text as event, asset, sum(amount)::text as off_by
from entries group by tenant_id, event_id, asset having sum(amount) <> 0
union all
select 'tenant does not sum to zero', tenant_id, null, asset, sum(posted_credits::numeric - posted_debits)::text
from balances group by tenant_id, asset having sum(posted_credits::numeric - posted_debits) <> 0
union all
select 'transaction has fewer than two entries', t.tenant_id, t.event_id::text, null, count(e.event_id)::text
from transactions t left join entries e using (event_id, tenant_id)
group by t.tenant_id, t.event_id having count(e.event_id) < 2
limit 100
