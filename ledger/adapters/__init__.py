"""Adapters: the ports, filled in by real things and by things in memory."""
