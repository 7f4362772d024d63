select h.tenant_id, h.number, h.hash from chain_heads h
where h.tenant_id = any($1::int[]) order by h.tenant_id for update
