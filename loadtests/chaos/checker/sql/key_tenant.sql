select k.tenant_id, t.code from api_keys k join tenants t using (tenant_id) where k.key_id = $1
