"""Databases that are away, full, read-only or renewed, seen through HTTP."""
