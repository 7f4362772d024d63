"""The whole stream in one process: real use cases and agents over a simulated Kafka, PostgreSQL, provider and clock."""
