"""What else this machine can do, to hold the ledger against."""
