"""Providers in memory and over HTTP, the latter against the simulator."""
