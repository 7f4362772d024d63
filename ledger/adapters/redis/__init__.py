"""The shared cache: balances in Redis."""
