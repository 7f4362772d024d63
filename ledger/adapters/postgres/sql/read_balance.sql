select a.normal_side, b.posted_debits, b.posted_credits, b.held, b.version
from accounts a
left join lateral (
    select * from balances b
    where b.tenant_id = a.tenant_id and b.account_id = a.account_id and b.asset = $3 offset 0
) b on true
where a.tenant_id = $1 and a.code = $2
