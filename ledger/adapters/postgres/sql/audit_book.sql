with moved as (
    select l.tenant, l.event_id, min(l.payment) as payment,
           count(*) filter (where l.kind = 'charge') as charges,
           count(*) filter (where l.kind = 'refund') as refunds,
           sum(case l.kind when 'charge' then l.amount else -l.amount end) as net
    from book_lines l where l.state = 'accepted' group by l.tenant, l.event_id
),
ours as (
    select l.*, p.event_id is null as is_nobodys, p.due_at is null as has_ended, p.state as payment_state,
           p.provider, p.amount as asked, p.asset as asked_asset, p.saga ->> 'charge' as charge,
           case l.kind when 'charge' then p.saga ->> 'charge_reference' else p.saga ->> 'refund_reference' end as known
    from book_lines l left join tenants t on t.code = l.tenant
    left join payments p on p.event_id = l.event_id and p.tenant_id = t.tenant_id
),
judged as (
    select case
        when is_nobodys then 'it belongs to no payment'
        when case when $3 then (tenant, provider) in (select * from unnest($4::text[], $5::text[]))
             else (tenant, provider) not in (select * from unnest($1::text[], $2::text[])) end
            then 'its payment is of another provider'
        when key <> tenant || ':' || event_id || ':' || kind and (kind = 'charge' or known is not null)
            then 'its key is not that of its payment'
        when (amount, asset) <> (asked, asked_asset) then 'its amount is not that of its payment'
        when state = 'declined' and kind = 'charge' and charge <> 'none' then 'declined, and its payment has a charge'
        when state = 'accepted' and kind = 'charge' and has_ended and charge = 'none'
            then 'charged, and its payment has ended without'
        when state = 'accepted' and kind = 'refund' and has_ended and charge <> 'refunded'
            then 'refunded, and its payment has ended without'
        when state = 'accepted' and named <> known and not exists (
            select from payment_steps s join tenants t using (tenant_id)
            where s.event_id = ours.event_id and t.code = ours.tenant and s.done_by is not null)
            then 'its payment knows another reference'
        end as what, *
    from ours
)
select 'provider''s line: ' || what as what, tenant, payment, key, payment_state as state
from judged where what is not null
union all
select 'provider''s book has a key more than once', min(tenant), min(payment), key, null
from book_lines group by key having count(*) > 1
union all
select 'provider has moved money twice', tenant, payment, null, null from moved where charges > 1 or refunds > 1
union all
select 'provider has refunded what it did not charge', tenant, payment, null, null from moved where refunds > charges
union all
select 'payment has a charge that its provider''s book has not', t.code, b.event_id::text, null, null
from book_payments b join tenants t using (tenant_id) left join moved m on (m.tenant, m.event_id) = (t.code, b.event_id)
where b.charged and coalesce(m.charges, 0) = 0
union all
select 'payment has a refund that its provider''s book has not', t.code, b.event_id::text, null, null
from book_payments b join tenants t using (tenant_id) left join moved m on (m.tenant, m.event_id) = (t.code, b.event_id)
where b.refunded and coalesce(m.refunds, 0) = 0
union all
select format('provider has %s %s of what ended, and %s was captured',
              sum(coalesce(m.net, 0)), b.asset, sum(b.captured)), t.code, null, null, null
from book_payments b join payments p using (event_id, tenant_id, version) join tenants t using (tenant_id)
left join moved m on (m.tenant, m.event_id) = (t.code, b.event_id)
where b.captured is not null
group by t.code, b.asset having sum(coalesce(m.net, 0)) <> sum(b.captured)
limit 100
