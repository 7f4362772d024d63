"""The HTTP API, version 1: one resource a file, over the use cases that the composition root hands it."""
