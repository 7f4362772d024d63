insert into book_payments
select p.event_id, p.tenant_id, p.version, p.asset,
       p.saga ->> 'charge' <> 'none', p.saga ->> 'charge' = 'refunded',
       case when p.due_at is null then coalesce(h.captured, 0) end
from payments p join tenants t using (tenant_id) left join holds h using (event_id, tenant_id)
where (t.code, p.provider) in (select * from unnest($1::text[], $2::text[]))
