-- Read after ids are claimed: from then on, and until the commit, no partition of theirs can be dropped.
select dropped_before::text from event_horizon
