"""Providers over HTTP: signed calls to hosts that are allowed, and answers that are not trusted."""
