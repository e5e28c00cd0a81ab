"""Step 1: a base for the models."""

from sqlalchemy import MetaData

from brickwork import Entity


class Base(Entity):
    """Base of the models, with its own tables."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)
