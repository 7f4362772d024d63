select pg_try_advisory_lock(72619943, hashtext($1))
