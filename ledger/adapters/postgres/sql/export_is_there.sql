select ($1::text is null or exists (select from tenants t where t.code = $1))
   and ($2::text is null or exists (
           select from tenants t join accounts a using (tenant_id)
           where ($1::text is null or t.code = $1) and a.code = $2))
