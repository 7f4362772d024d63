select b.balance_id, b.asset, b.posted_debits, b.posted_credits, b.held, b.version,
       case when b.normal_side = 'credit' then b.posted_credits - b.posted_debits
            else b.posted_debits - b.posted_credits end as balance
from balances b where b.tenant_id = $1 and b.account_id = $2 order by b.asset
