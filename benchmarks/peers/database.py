"""The engine of the libraries that use SQLAlchemy."""

import os

from sqlalchemy.ext.asyncio import create_async_engine

from brickwork import Database

engine = create_async_engine(Database(os.environ["DATABASE_URL"]).url, pool_size=10, max_overflow=0)
