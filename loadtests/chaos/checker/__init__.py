"""An independent count over Kafka, PostgreSQL, the API and a provider's book: no code is shared with the ledger."""
