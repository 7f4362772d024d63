"""The API without a network: routes over the books in memory."""
