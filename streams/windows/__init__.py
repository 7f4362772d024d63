"""Windows of balances in a table that its changelog backs: merged in memory, checkpointed, aged and read."""
