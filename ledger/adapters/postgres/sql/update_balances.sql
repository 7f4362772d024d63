update balances b
set posted_debits = k.posted_debits, posted_credits = k.posted_credits, held = k.held,
    version = k.version, last_posted_at = k.last_posted_at
from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
    as k (tenant_id, balance_id, posted_debits, posted_credits, held, version, last_posted_at)
where b.tenant_id = k.tenant_id and b.balance_id = k.balance_id
