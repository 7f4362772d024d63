select state, count(*) as payments, min(created_at) as oldest from payments where due_at is not null group by state
