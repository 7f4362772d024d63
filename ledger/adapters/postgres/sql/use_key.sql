update api_keys set last_used_at = now() where key_id = $1
