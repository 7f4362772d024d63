"""The replay tool: history read again, in its order, into books of choice."""
