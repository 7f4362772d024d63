select count(*) as payments,
       count(*) filter (where state = 'needs_operator') as stuck,
       count(*) filter (where state <> 'needs_operator' and due_at < now() - interval '1 minute') as overdue
from payments where due_at is not null
