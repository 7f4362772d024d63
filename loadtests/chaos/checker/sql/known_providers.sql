select t.code as tenant, p.name from providers p join tenants t using (tenant_id)
union all
select t.code, 'ledger:' || o.code from tenants t cross join tenants o
where o.tenant_id <> t.tenant_id and (select count(*) from tenants) <= 1000
