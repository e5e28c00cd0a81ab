"""The engine of those that stand on SQLAlchemy: ten connections, and else what its defaults are."""

import os

from sqlalchemy.ext.asyncio import create_async_engine

from brickwork import Database

engine = create_async_engine(Database(os.environ["DATABASE_URL"]).url, pool_size=10, max_overflow=0)
