"""Kafka, PostgreSQL and the programs on them, on this machine, under one supervisor."""
