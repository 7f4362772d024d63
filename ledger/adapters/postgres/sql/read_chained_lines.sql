-- Keys come as two texts: to make arrays of them costs the worker as much as reading their rows.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.ordinal - 1 as place, e.balance_id, e.asset, e.amount, e.version, e.posted_debits, e.posted_credits,
       timestamptz_send(e.posted_at) as posted_at
from unnest(string_to_array($1, ',')::int[], string_to_array($2, ',')::uuid[])
    with ordinality as k (tenant_id, event_id, ordinal)
cross join lateral (
    select * from entries e where e.event_id = k.event_id and e.tenant_id = k.tenant_id offset 0
) e
order by k.ordinal, e.line
