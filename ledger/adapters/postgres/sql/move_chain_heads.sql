update chain_heads h set number = k.number, hash = k.hash
from unnest($1::int[], $2::bigint[], $3::bytea[]) as k (tenant_id, number, hash) where h.tenant_id = k.tenant_id
