select exists (select from accounts where tenant_id = $1 and code = $2)
