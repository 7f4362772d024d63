"""The agents: thin, and unaware of each other."""
