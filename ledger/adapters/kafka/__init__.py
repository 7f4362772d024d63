"""The stream, read and written without a stream processor."""
