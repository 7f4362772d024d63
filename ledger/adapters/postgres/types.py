"""Names for asyncpg's types, which are generic to the type checker only."""

from typing import TYPE_CHECKING

import asyncpg
from asyncpg.transaction import Transaction

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.pool.PoolConnectionProxy

__all__ = ["Connection", "Pool", "Transaction"]
