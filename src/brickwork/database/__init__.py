"""Engines, transactions, drivers and errors of the database."""
