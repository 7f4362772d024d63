-- An id belongs to its tenant: two may have used the same.
select t.code as tenant from payments p join tenants t using (tenant_id) where p.event_id = $1 order by t.code limit 10
