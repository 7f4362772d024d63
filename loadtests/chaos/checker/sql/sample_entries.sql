select e.version, e.event_id::text as transaction, e.amount, e.posted_debits, e.posted_credits
from entries e where e.tenant_id = $1 and e.balance_id = $2 order by e.version desc limit 200
