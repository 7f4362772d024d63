select t.code || '/' || p.event_id as subject, p.type as detail
from processed_events p join tenants t using (tenant_id)
where p.kind = 'posted' and case
    when p.type in ('transfer.post.v1', 'transaction.post.v1', 'transaction.reverse.v1', 'hold.capture.v1') then
        not exists (select from transactions x where x.event_id = p.event_id and x.tenant_id = p.tenant_id)
        or not exists (select from entries e where e.event_id = p.event_id and e.tenant_id = p.tenant_id)
    when p.type = 'hold.place.v1' then
        not exists (select from holds h where h.event_id = p.event_id and h.tenant_id = p.tenant_id)
    when p.type = 'payment.request.v1' then
        not exists (select from payments q where q.event_id = p.event_id and q.tenant_id = p.tenant_id)
        or not exists (select from holds h where h.event_id = p.event_id and h.tenant_id = p.tenant_id)
    else false end
