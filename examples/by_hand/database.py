"""Step 1: a base for the models; `main` has the engines, and `Session` is that of a request."""

from sqlalchemy import MetaData

from brickwork import Entity


class Base(Entity):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)
