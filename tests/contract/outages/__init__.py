"""Outages of the database, tested through HTTP."""
