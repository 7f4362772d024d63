"""The demonstration: the whole system on a stream of payments, a worker killed on the way, then the verdict."""
