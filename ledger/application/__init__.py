"""What the ledger does, one use case a file, over ports that adapters fill in."""
