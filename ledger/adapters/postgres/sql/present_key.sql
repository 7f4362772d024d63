select set_config('ledger.key_id', $1, true)
