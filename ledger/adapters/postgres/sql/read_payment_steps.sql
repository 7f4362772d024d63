select s.number, s.at, s.happening, s.verdict, s.state, s.commands, s.attempt, s.begins,
       s.publishes::text as publishes, s.next_at, s.detail, s.done_by
from payment_steps s
where s.event_id = $2 and s.tenant_id = (select tenant_id from tenants where code = $1) and s.number > $3
order by s.number
limit $4
