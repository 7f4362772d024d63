with reserved as (
    select h.tenant_id, h.debit, h.asset, sum(h.amount_left) as held
    from holds h where h.state = 'open' group by h.tenant_id, h.debit, h.asset
), taken as (
    select t.tenant_id, t.captures, sum(e.amount) filter (where e.amount > 0) as captured
    from transactions t join entries e using (event_id, tenant_id)
    where t.captures is not null group by t.tenant_id, t.captures
), turned as (
    select t.tenant_id, t.reverses, sum(e.amount) filter (where e.amount > 0) as reversed, count(*) as entries,
           count(distinct t.event_id) as reversals
    from transactions t join entries e using (event_id, tenant_id)
    where t.reverses is not null group by t.tenant_id, t.reverses
)
select 'held differs from the open holds' as what, b.tenant_id, a.code as account, b.asset, b.held::text as stands,
       coalesce(r.held, 0)::text as expected
from balances b join accounts a using (tenant_id, account_id)
left join reserved r on r.tenant_id = b.tenant_id and r.debit = a.code and r.asset = b.asset
where b.held <> coalesce(r.held, 0)
union all
select 'hold is not captured + released + left', tenant_id, event_id::text, asset, amount::text,
       (captured + released + amount_left)::text
from holds where amount <> captured + released + amount_left or (state = 'open') <> (amount_left > 0)
union all
select 'captured differs from the transactions', h.tenant_id, h.event_id::text, h.asset, h.captured::text,
       coalesce(t.captured, 0)::text
from holds h left join taken t on t.tenant_id = h.tenant_id and t.captures = h.event_id
where h.captured <> coalesce(t.captured, 0)
union all
select 'reversed differs from the transactions', coalesce(r.tenant_id, u.tenant_id),
       coalesce(r.event_id, u.reverses)::text, null, r.reversed::text, u.reversed::text
from reversals r full join turned u on u.tenant_id = r.tenant_id and u.reverses = r.event_id
where r.reversed is null or u.reversed is null
   or r.reversed <> case when u.entries = 2 * u.reversals then u.reversed else u.reversals end
   or r.reversed > r.size
union all
select 'capture is not between the accounts of its hold', e.tenant_id, e.event_id::text, e.asset, a.code,
       case when e.amount < 0 then h.debit when e.line = 2 then p.fee_account else h.credit end
from transactions t join holds h on h.tenant_id = t.tenant_id and h.event_id = t.captures
left join payments p on p.tenant_id = t.tenant_id and p.event_id = t.captures
join entries e on e.event_id = t.event_id and e.tenant_id = t.tenant_id
left join balances b on b.tenant_id = e.tenant_id and b.balance_id = e.balance_id
left join accounts a on a.tenant_id = e.tenant_id and a.account_id = b.account_id
where (a.code, e.asset) is distinct from
      (case when e.amount < 0 then h.debit when e.line = 2 then p.fee_account else h.credit end, h.asset)
union all
select 'capture of a payment is not the whole with its fee', p.tenant_id, t.event_id::text, p.asset,
       string_agg(e.amount::text, ', ' order by e.line), concat_ws(', ', -p.amount, p.amount - p.fee_amount,
                                                                  nullif(p.fee_amount, 0))
from payments p join transactions t on t.tenant_id = p.tenant_id and t.captures = p.event_id
left join entries e on e.event_id = t.event_id and e.tenant_id = t.tenant_id
group by p.tenant_id, p.event_id, t.event_id, p.asset, p.amount, p.fee_amount
having string_agg(e.amount::text, ', ' order by e.line) is distinct from
       concat_ws(', ', -p.amount, p.amount - p.fee_amount, nullif(p.fee_amount, 0))
union all
select 'reversal is not the opposite of its transaction', e.tenant_id, e.event_id::text, e.asset, e.amount::text,
       o.amount::text
from transactions t join entries e using (event_id, tenant_id)
left join entries o on o.event_id = t.reverses and o.tenant_id = t.tenant_id and o.line = e.line
where t.reverses is not null
  and (e.balance_id, e.asset, sign(e.amount)) is distinct from (o.balance_id, o.asset, -sign(o.amount))
limit 100
