"""The contract with the outside: events in, outcomes, entries and dead letters out, and their schemas."""
