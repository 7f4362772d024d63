select concat_ws(' ', type, kind, reason) from processed_events where tenant_id = $1 and event_id = $2::uuid
