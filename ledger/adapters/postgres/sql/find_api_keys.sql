select k.key_id, k.tenant_id, t.code as tenant, k.name, k.secret_hmac, k.scopes, k.created_at, k.created_by,
       k.expires_at, k.revoked_at, k.last_used_at, k.ended_sessions
from api_keys k join tenants t using (tenant_id)
where ($1::text is null or t.code = $1) and ($2::text is null or k.key_id = $2)
order by k.created_at, k.key_id
