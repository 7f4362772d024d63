select h.tenant_id, h.number, h.hash from chain_heads h
