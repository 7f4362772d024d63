-- Row-level security shows the one row whose id was presented.
select k.key_id, k.tenant_id, k.name, k.secret_hmac, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at,
       k.last_used_at, k.ended_sessions, set_config('ledger.tenant_id', k.tenant_id::text, true) as shown
from api_keys k where k.key_id = $1
