"""The books in memory: for tests, simulation and dry runs."""
