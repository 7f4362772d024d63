with lines as (
    select e.tenant_id, e.event_id, string_agg(
        concat_ws(' ', a.code, e.asset, e.amount, e.version,
                  case when a.normal_side = 'credit' then e.posted_credits - e.posted_debits
                       else e.posted_debits - e.posted_credits end,
                  e.posted_debits, e.posted_credits), e'\n' order by e.line) as entries, min(e.posted_at) as posted_at
    from entries e join balances b using (tenant_id, balance_id) join accounts a using (tenant_id, account_id)
    group by e.tenant_id, e.event_id
)
select distinct s.tenant || '/' || s.event_id as subject,
       concat_ws(' ', 'told', s.kind, s.reason, s.transaction, s.posted_at, s.entries,
                 'and is', p.kind, p.reason, l.event_id, coalesce(l.posted_at, p.posted_at), l.entries) as detail
from told s join tenants t on t.code = s.tenant
join processed_events p on p.event_id = s.event_id and p.tenant_id = t.tenant_id
left join lines l on l.event_id = s.event_id and l.tenant_id = t.tenant_id
where s.kind <> 'duplicate' and s.reason is distinct from 'event_id_reused'
  and (s.kind, s.reason, s.event_type, s.transaction, s.posted_at, s.entries)
      is distinct from (p.kind, p.reason, p.type, l.event_id, coalesce(l.posted_at, p.posted_at), coalesce(l.entries, ''))
