"""The tables of the audit chain and of verifications as SQLAlchemy Core sees them; the migrations make them."""

import sqlalchemy as sa


def chain_tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    """Describe links, heads and progress."""
    return _links(metadata), _heads(metadata), _progress(metadata)


def verification_table(metadata: sa.MetaData) -> sa.Table:
    """Describe the verdict of the last verification."""
    return sa.Table(
        "verifications",
        metadata,
        sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.JSON, nullable=False),
        comment="the verdict of the last verification: for the console, and no proof by itself",
    )


def _links(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "chain_links",
        metadata,
        sa.Column("tenant_id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column(
            "late",
            sa.Boolean,
            nullable=False,
            comment="its transaction was found in the books, and not heard of in the stream",
        ),
        sa.UniqueConstraint("event_id", "tenant_id", name="chain_links_by_transaction"),
    )


def _heads(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "chain_heads",
        metadata,
        sa.Column("tenant_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )


def _progress(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "chain_progress",
        metadata,
        sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column("complete_before", sa.DateTime(timezone=True), nullable=False),
        comment="all that was posted before this time, and claimed, has its link",
    )
