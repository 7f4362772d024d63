select b.normal_side, min(e.version) as first_version, max(e.version) as last_version,
       min(e.posted_debits - greatest(0, -e.amount)) as opening_debits,
       min(e.posted_credits - greatest(0, e.amount)) as opening_credits,
       max(e.posted_debits) as closing_debits, max(e.posted_credits) as closing_credits,
       min(e.posted_credits - e.posted_debits) as net_min, max(e.posted_credits - e.posted_debits) as net_max,
       max(e.posted_at) as last_posted_at
from entries e join balances b using (tenant_id, balance_id)
where e.tenant_id = $1 and e.balance_id = $2 and e.version between $3 and $4
group by b.normal_side
