select count(*) from processed_events
