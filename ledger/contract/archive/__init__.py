"""The archive: records in compressed, checksummed, chained segments; docs/archive.md tells the format."""
