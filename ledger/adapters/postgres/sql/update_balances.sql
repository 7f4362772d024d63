-- A column of one element holds for all.
update balances b
set posted_debits = k.posted_debits, posted_credits = k.posted_credits,
    held = case when cardinality($5) = 1 then ($5)[1] else k.held end, version = k.version,
    last_posted_at = case when cardinality($7) = 1 then ($7)[1] else k.last_posted_at end
from unnest($1::int[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::bigint[],
            $6::text::bigint[], $7::timestamptz[])
    as k (tenant_id, balance_id, posted_debits, posted_credits, held, version, last_posted_at)
where b.tenant_id = case when cardinality($1) = 1 then ($1)[1] else k.tenant_id end
    and b.balance_id = k.balance_id
