select distinct s.tenant || '/' || s.account || ' ' || s.asset || ' version ' || s.version as subject,
       concat_ws(' ', 'told', s.transaction || '/' || s.line, s.amount, s.balance, s.posted_debits, s.posted_credits,
                 s.posted_at, 'and is', e.event_id, e.amount, e.posted_debits, e.posted_credits, e.posted_at) as detail
from told_entries s left join tenants t on t.code = s.tenant
left join accounts a on a.tenant_id = t.tenant_id and a.code = s.account
left join balances b on b.tenant_id = t.tenant_id and b.account_id = a.account_id and b.asset = s.asset
left join entries e on e.tenant_id = t.tenant_id and e.balance_id = b.balance_id and e.version = s.version
where (s.transaction, s.line, s.amount, s.posted_debits, s.posted_credits, s.posted_at, s.balance)
      is distinct from (e.event_id, e.line::int, e.amount, e.posted_debits, e.posted_credits, e.posted_at,
                        case when a.normal_side = 'credit' then e.posted_credits - e.posted_debits
                             else e.posted_debits - e.posted_credits end)
