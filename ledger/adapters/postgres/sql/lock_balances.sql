-- Locked in the order given, which is that of the keys for every caller, so that no two wait for each other in a ring;
-- `offset 0` keeps that order where nothing is locked, for a look at the books.
-- All rows come as one value, in that order (see locked.py): a row of its own for each, with the names of its account,
-- cost the server twice and the reader three times as much. That a remembered row is still what it was is told by the
-- time when it was made, and that its tenant is by the names of all tenants. A column of one tenant holds for all.
select array(select t.code from tenants t where t.tenant_id = any($1) order by t.tenant_id) as tenants,
       string_agg(
           int8send(b.balance_id) || timestamptz_send(b.made_at)
               || int8send(b.posted_debits) || int8send(b.posted_credits) || int8send(b.held) || int8send(b.version)
               || timestamptz_send(coalesce(b.last_posted_at, '-infinity')) || boolsend(b.closed),
           ''::bytea
       ) as packed
from unnest($1::int[], $2::text::bigint[]) as k (tenant_id, balance_id)
cross join lateral (
    select * from balances b
    where b.tenant_id = case when cardinality($1) = 1 then ($1)[1] else k.tenant_id end
        and b.balance_id = k.balance_id offset 0 for update
) b
