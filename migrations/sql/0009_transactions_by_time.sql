-- Transactions come in the order of their times, nearly: so a few bytes for each stretch of pages find the newest.
create index concurrently transactions_by_time on transactions using brin (posted_at) with (autosummarize = on)
