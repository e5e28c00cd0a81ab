"""The shop by hand, in plain FastAPI and SQLAlchemy.

It has neither PUT, ETags, cursors, `fields=`, exports, HEAD, OPTIONS nor retries.
"""
