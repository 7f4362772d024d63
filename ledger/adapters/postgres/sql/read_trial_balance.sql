select b.asset, sum(b.posted_debits) as posted_debits, sum(b.posted_credits) as posted_credits, sum(b.held) as held,
       count(*) as balances
from balances b where b.tenant_id = $1 and ($2::text is null or b.asset = $2)
group by b.asset order by b.asset collate "C"
