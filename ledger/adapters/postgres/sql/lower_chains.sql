-- What was posted at this time or later may have no link yet. It changes always: a sweep that is under way may have
-- looked too early, wherever the mark stands.
update chain_progress set complete_before = least(complete_before, $1) - interval '1 microsecond'
