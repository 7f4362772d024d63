with lines as (
    select e.tenant_id, e.event_id, string_agg(concat_ws(' ', a.code, e.asset, e.amount, e.version), e'\n' order by e.line) as entries
    from entries e join balances b using (tenant_id, balance_id) join accounts a using (tenant_id, account_id)
    group by e.tenant_id, e.event_id
), said as (
    select s.tenant, s.event_id, s.kind, s.reason,
           (select string_agg(array_to_string((string_to_array(line, ' '))[1:4], ' '), e'\n' order by number)
            from regexp_split_to_table(s.entries, e'\n') with ordinality as each (line, number)) as entries
    from told s
)
select t.code || '/' || p.event_id as subject, concat_ws(' ', p.kind, p.reason, p.type) as detail
from processed_events p join tenants t using (tenant_id)
left join lines l on l.event_id = p.event_id and l.tenant_id = p.tenant_id
where p.topic = $1
  and not exists (
    select from said s
    where s.event_id = p.event_id and s.tenant = t.code
      and (p.kind = 'duplicate' or (s.kind, s.reason) is not distinct from (p.kind, p.reason))
      and (p.kind <> 'posted' or coalesce(s.entries, '') = coalesce(l.entries, ''))
  )
