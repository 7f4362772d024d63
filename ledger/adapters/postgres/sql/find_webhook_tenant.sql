select tenant_id from tenants where code = $1
