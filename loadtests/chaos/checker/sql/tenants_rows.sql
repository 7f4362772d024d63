select 'entry of balance ' || e.balance_id as subject, 'tenant ' || e.tenant_id || ', transaction ' || e.event_id as detail
from entries e
where not exists (select from balances b where b.tenant_id = e.tenant_id and b.balance_id = e.balance_id)
   or not exists (select from transactions x where x.tenant_id = e.tenant_id and x.event_id = e.event_id)
union all
select 'balance ' || b.balance_id, 'tenant ' || b.tenant_id || ', account ' || b.account_id
from balances b
where not exists (select from accounts a where a.tenant_id = b.tenant_id and a.account_id = b.account_id)
union all
select 'payment ' || p.event_id, 'tenant ' || p.tenant_id
from payments p where not exists (select from holds h where h.tenant_id = p.tenant_id and h.event_id = p.event_id)
