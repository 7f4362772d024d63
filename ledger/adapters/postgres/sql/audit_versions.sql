with walked as (
    select tenant_id, balance_id, version, event_id, posted_debits, posted_credits, posted_at, asset,
           row_number() over w as expected_version,
           sum(case when amount < 0 then -amount else 0 end) over w as expected_debits,
           sum(case when amount > 0 then amount else 0 end) over w as expected_credits,
           lag(posted_at) over w as posted_at_before
    from entries window w as (partition by tenant_id, balance_id order by version)
), summed as (
    select tenant_id, balance_id, count(*) as entries, max(posted_at) as last_posted_at
    from entries group by tenant_id, balance_id
)
select case when w.version <> expected_version then 'version is missing before this entry'
            when w.posted_at < posted_at_before then 'posted_at goes back at this entry'
            when w.asset <> b.asset then 'asset of this entry is not that of its balance'
            else 'running totals are wrong at this entry' end as what,
       w.tenant_id, a.code as account, b.asset, w.version, w.event_id::text as event
from walked w left join balances b using (tenant_id, balance_id) left join accounts a using (tenant_id, account_id)
where w.version <> expected_version or w.posted_at < posted_at_before or w.asset <> b.asset
   or w.posted_debits <> expected_debits or w.posted_credits <> expected_credits
union all
select 'posted_at of this entry is not that of its transaction', e.tenant_id, e.balance_id::text, e.asset, e.version,
       e.event_id::text
from entries e join transactions t using (event_id, tenant_id) where e.posted_at <> t.posted_at
union all
select 'version of the balance is not its number of entries', b.tenant_id, a.code, b.asset, b.version, null
from balances b join accounts a using (tenant_id, account_id) left join summed s using (tenant_id, balance_id)
where b.version <> coalesce(s.entries, 0)
union all
select 'last_posted_at of the balance is not that of its last entry', b.tenant_id, a.code, b.asset, b.version, null
from balances b join accounts a using (tenant_id, account_id) left join summed s using (tenant_id, balance_id)
where b.last_posted_at is distinct from s.last_posted_at
limit 100
