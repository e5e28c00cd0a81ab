"""Mapped classes."""
