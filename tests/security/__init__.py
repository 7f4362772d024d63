"""Who may see and do what, and over which connections; and what must never be told."""
