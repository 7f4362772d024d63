"""The real parts under load, a seeded schedule of faults, and a verdict from a checker that shares no code with it."""
