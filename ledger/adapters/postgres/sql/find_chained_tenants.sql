-- One probe of the index for each tenant.
with recursive found as (
    (select c.tenant_id from chain_links c order by c.tenant_id limit 1)
    union all
    select (select c.tenant_id from chain_links c where c.tenant_id > f.tenant_id order by c.tenant_id limit 1)
    from found f where f.tenant_id is not null
)
select f.tenant_id from found f where f.tenant_id is not null
