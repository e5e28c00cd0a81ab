"""A client of an application in this process, for tests that need no server."""

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient


def calling(app: FastAPI, *, root_path: str = "") -> AsyncClient:
    """Return a client of *app*, to which an error of it is an answer as it is to others."""
    transport = ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    return AsyncClient(transport=transport, base_url="http://test")
