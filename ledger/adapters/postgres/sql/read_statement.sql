-- Entries of the account of code $2 posted in [$4, $5), newest first, after the place ($6, $7, $8). Time bounds and the
-- place become bounds of each balance's versions, so that every balance is read backwards from where the page begins.
with account as (
    select a.account_id, a.normal_side from accounts a where a.tenant_id = $1 and a.code = $2
), bounds as (
    select b.balance_id, b.asset, a.normal_side,
           case when $4::timestamptz is null then 0
                else version_at($1, b.balance_id, $4::timestamptz - interval '1 microsecond') end as low,
           least(
               b.version,
               case when $5::timestamptz is not null
                    then version_at($1, b.balance_id, $5::timestamptz - interval '1 microsecond') end,
               case when $6::timestamptz is null then null
                    when b.asset = $7 then $8::bigint - 1
                    when b.asset collate "C" < $7 then version_at($1, b.balance_id, $6::timestamptz)
                    else version_at($1, b.balance_id, $6::timestamptz - interval '1 microsecond') end
           ) as high
    from account a
    cross join lateral (
        select * from balances b
        where b.tenant_id = $1 and b.account_id = a.account_id and ($3::text is null or b.asset = $3) offset 0
    ) b
), page as (
    select e.*, b.normal_side
    from bounds b
    cross join lateral (
        select * from entries e
        where e.tenant_id = $1 and e.balance_id = b.balance_id and e.version > b.low and e.version <= b.high
        order by e.version desc limit $9
    ) e
    order by e.posted_at desc, e.asset collate "C" desc, e.version desc limit $9
)
select e.asset, e.version, e.amount, e.posted_debits, e.posted_credits, e.event_id::text as transaction, e.posted_at,
       e.normal_side, t.type, t.reference, t.effective_at
from page e
cross join lateral (
    select * from transactions t where t.event_id = e.event_id and t.tenant_id = $1 offset 0
) t
order by e.posted_at desc, e.asset collate "C" desc, e.version desc
