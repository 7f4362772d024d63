select a.code, a.normal_side, a.overdraft, a.metadata, a.opened_at, a.closed_at,
       b.asset, b.posted_debits, b.posted_credits, b.held, b.version
from accounts a
left join lateral (
    select * from balances b where b.tenant_id = a.tenant_id and b.account_id = a.account_id offset 0
) b on true
where a.tenant_id = $1 and a.code = $2
order by b.asset collate "C"
