select t.code || '/' || p.event_id as subject, concat_ws(' ', p.state, p.step, 'due', p.due_at) as detail
from payments p join tenants t using (tenant_id)
where p.state not in ('settled', 'declined', 'released', 'expired', 'refunded')
