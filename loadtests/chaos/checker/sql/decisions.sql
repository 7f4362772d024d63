select t.code as tenant, p.event_id::text as id, p.kind, p.reason, coalesce(p.posted_at, x.posted_at) as posted_at,
       p."partition", l.value,
       (select json_agg(json_build_array(a.code, e.asset, e.amount, e.version, e.posted_debits, e.posted_credits)
                        order by e.line)::text
        from entries e join balances b on b.tenant_id = e.tenant_id and b.balance_id = e.balance_id
        join accounts a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
        where e.event_id = p.event_id and e.tenant_id = p.tenant_id) as entries
from processed_events p join tenants t on t.tenant_id = p.tenant_id
left join transactions x on x.event_id = p.event_id and x.tenant_id = p.tenant_id
left join logged l on p.topic = $1 and (l."partition", l."offset") = (p."partition", p."offset")
                   and l.event_id = p.event_id and l.tenant = t.code
order by posted_at, p."partition", p."offset"
