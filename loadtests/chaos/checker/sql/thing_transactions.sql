select concat_ws(' ', x.type, x.reverses, x.captures, (
    select string_agg(concat_ws(' ', a.code, e.asset, e.amount, e.version), ', ' order by e.line)
    from entries e join balances b using (tenant_id, balance_id) join accounts a using (tenant_id, account_id)
    where e.tenant_id = x.tenant_id and e.event_id = x.event_id))
from transactions x where x.tenant_id = $1 and x.event_id = $2::uuid
