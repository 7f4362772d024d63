select t.code as tenant, b.provider, b.worker, b.state, b.since, b.retry_at, b.calls, b.bad, b.told_at
from provider_breakers b join tenants t using (tenant_id)
where b.told_at >= $1
order by t.code, b.provider, b.worker
