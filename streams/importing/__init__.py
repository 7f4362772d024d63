"""CSV read as events, by a mapping of its columns; the same line always gives the same event."""
