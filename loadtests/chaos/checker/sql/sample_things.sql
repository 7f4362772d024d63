(select 'transactions' as route, event_id::text as id from transactions where tenant_id = $1 order by md5(event_id::text) limit $2)
union all
(select 'holds', event_id::text from holds where tenant_id = $1 order by md5(event_id::text) limit $2)
union all
(select 'payments', event_id::text from payments where tenant_id = $1 order by md5(event_id::text) limit $2)
union all
(select 'events', event_id::text from processed_events where tenant_id = $1 order by md5(event_id::text) limit $2)
