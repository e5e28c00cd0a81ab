"""Pinned requirements, and what keeps them."""
