select t.code as tenant, h.number, h.hash from chain_heads h join tenants t using (tenant_id) where h.number > 0
