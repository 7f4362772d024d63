"""Bugs that are planted one by one, to see that a check finds each of them."""
