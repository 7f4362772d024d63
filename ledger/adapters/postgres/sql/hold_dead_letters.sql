-- Of these books: an operator, and a replay that posts letters, one after the other.
select pg_advisory_lock(72619944, hashtext(current_schema()))
