select code, tenant_id, auto_open from tenants where code = any($1::text[])
