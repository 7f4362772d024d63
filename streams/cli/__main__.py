"""`python -m streams.cli` is `ledger`."""

from streams.cli import main

main()
