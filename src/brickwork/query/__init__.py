"""Filters, order, pages and keys."""
