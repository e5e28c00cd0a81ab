"""The clinic by hand, in plain FastAPI and SQLAlchemy.

It lacks batches, idempotency keys, cursors, exports, HEAD, OPTIONS, retries and most operators.
"""
