"""Migrations of the books: Alembic, NNNN_{pre|post}_what (before, or after, the new code runs)."""
