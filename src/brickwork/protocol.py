"""The protocol of uvicorn, under its public name."""

from brickwork.http.protocol import Protocol

__all__ = ["Protocol"]
