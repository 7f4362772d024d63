"""A payment provider on this machine: a real server with a durable book, which misbehaves as a script has it."""
