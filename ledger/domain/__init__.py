"""The rules of the books: pure, synchronous, without a clock."""
