"""The service by hand, in plain FastAPI and SQLAlchemy.

It lacks batches, idempotency keys, cursors, exports, HEAD, OPTIONS and retries.
"""
