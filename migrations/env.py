"""How Alembic runs here: on the caller's connection, in the caller's schema and transaction."""

from alembic import context

from ledger.adapters.postgres.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table_schema=context.config.attributes["schema"],
)
context.run_migrations()
