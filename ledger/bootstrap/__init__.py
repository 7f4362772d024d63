"""The composition root: the one place that picks adapters; a file for each program."""
