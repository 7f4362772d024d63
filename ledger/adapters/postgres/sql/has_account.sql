select 1 from accounts where tenant_id = $1 and code = $2
