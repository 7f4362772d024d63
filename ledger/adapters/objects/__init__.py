"""Objects by name: in a directory, or in a store of one of the clouds."""
