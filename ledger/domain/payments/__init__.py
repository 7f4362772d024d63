"""The payment saga: a pure machine that holds funds, has a provider charge, captures, or undoes what was done."""
