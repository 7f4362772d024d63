with set_aside as (
    select tenant_id, debit as code, asset, sum(amount_left) as held from holds where state = 'open' group by 1, 2, 3
)
select t.code || '/' || coalesce(a.code, h.code) || ' ' || coalesce(b.asset, h.asset) as subject,
       concat_ws(' ', 'held', coalesce(b.held, 0), 'and open holds', coalesce(h.held, 0)) as detail
from balances b join accounts a using (tenant_id, account_id)
full join set_aside h on h.tenant_id = b.tenant_id and h.code = a.code and h.asset = b.asset
left join tenants t on t.tenant_id = coalesce(b.tenant_id, h.tenant_id)
where coalesce(b.held, 0) <> coalesce(h.held, 0)
