"""The routes of /v1, one resource a file."""
