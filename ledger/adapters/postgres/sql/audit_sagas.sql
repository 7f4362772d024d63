with told as (
    select s.event_id, s.tenant_id, count(*) as lines, max(s.number) as last, max(s.attempt) as attempts
    from payment_steps s group by s.event_id, s.tenant_id
)
select 'payment and its hold differ' as what, p.tenant_id, p.event_id::text as payment, p.state, h.state as hold
from payments p left join holds h using (event_id, tenant_id)
where (p.debit, case when p.provider like 'ledger:%' then 'transit:' || substr(p.provider, 8) else p.credit end,
       p.asset, p.amount, p.reference, null::timestamptz)
      is distinct from (h.debit, h.credit, h.asset, h.amount, h.reference, h.expires_at)
union all
select 'payment has ended otherwise than its hold', p.tenant_id, p.event_id::text, p.state, h.state
from payments p join holds h using (event_id, tenant_id)
where (p.due_at is null and h.state = 'open') or (p.state = 'settled' and h.state <> 'captured')
   -- An operator who says that they closed a hold says that they put right what became of it.
   or (p.state in ('released', 'expired', 'refunded') and h.state = 'captured'
       and not exists (select from payment_steps s
                       where s.event_id = p.event_id and s.tenant_id = p.tenant_id
                             and s.happening = 'told_hold_closed' and s.verdict = 'moved'))
union all
select 'payment has settled without a charge', p.tenant_id, p.event_id::text, p.state, null
from payments p where p.state = 'settled' and p.saga ->> 'charge' is distinct from 'charged'
union all
select 'saga is not that of its payment', p.tenant_id, p.event_id::text, p.state, p.saga ->> 'state'
from payments p join tenants t using (tenant_id)
where (p.event_id::text, t.code, p.state, p.step, p.publishes::text)
      is distinct from (p.saga ->> 'id', p.saga ->> 'tenant', p.saga ->> 'state', p.saga ->> 'step',
                        p.saga ->> 'event_id')
   or p.deadline is distinct from (p.saga ->> 'deadline')::timestamptz
   or (p.due_at is null) <> (p.saga ->> 'next_at' is null)
union all
select 'timeline is not that of its payment', coalesce(p.tenant_id, t.tenant_id),
       coalesce(p.event_id, t.event_id)::text, p.state, s.state
from payments p full join told t on t.event_id = p.event_id and t.tenant_id = p.tenant_id
left join payment_steps s on s.event_id = t.event_id and s.tenant_id = t.tenant_id and s.number = t.last
where (t.lines, t.last, s.state) is distinct from (p.version::bigint, p.version, p.state)
   or t.attempts > (p.saga ->> 'attempts')::int
limit 100
