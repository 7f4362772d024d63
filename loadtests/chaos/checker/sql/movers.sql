select distinct t.code as tenant, s.event_id::text as id, s.publishes::text as event_id
from payment_steps s join tenants t using (tenant_id) where s.publishes is not null
