-- Sagas are written compactly; to look for the text costs a tenth of reading the JSON of every payment.
select
    state,
    count(*) as payments,
    min(created_at) as oldest,
    count(*) filter (where saga::text like '%"contradictions":["%') as contradicted
from payments
where due_at is not null
group by state
