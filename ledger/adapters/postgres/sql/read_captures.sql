select t.event_id::text as id from transactions t
where t.tenant_id = $1 and t.captures = $2 and t.captures is not null
order by t.posted_at, t.event_id limit $3
