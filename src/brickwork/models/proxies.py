"""Association proxies: values of related rows as attributes of a row."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.ext.associationproxy import AssociationProxy
from sqlalchemy.orm import RelationshipProperty

from brickwork.models.caching import cached_per_model


@dataclass(frozen=True)
class Proxy:
    """The attribute *value* of the rows that a relationship leads to."""

    relationship: RelationshipProperty[Any]
    value: str
    creator: Callable[[Any], object]

    @property
    def target(self) -> type[object]:
        """Return the model of the related rows."""
        target: type[object] = self.relationship.mapper.class_
        return target

    @property
    def column(self) -> Column[Any] | None:
        """Return the column of the values. None if they are no column."""
        column = self.relationship.mapper.columns.get(self.value)
        return column if isinstance(column, Column) else None

    @property
    def is_list(self) -> bool:
        """Return whether there may be several related rows."""
        return bool(self.relationship.uselist)

    @property
    def filter_name(self) -> str:
        """Return the name of a filter on the values."""
        return f"{self.relationship.key}__{self.value}"

    def creates_rows(self) -> bool:
        """Return whether a value alone makes a related row."""
        try:
            signature(self.creator).bind(None)
        except TypeError:
            return False
        except ValueError:  # a function of C has no signature
            return True
        return True


@cached_per_model
def find_proxy(model: type[object], name: str) -> Proxy | None:
    """Return the association proxy *name* of *model*. None for another attribute.

    Raises `TypeError` if it leads through another proxy.
    """
    found: object = inspect(model).all_orm_descriptors.get(name)
    proxy: Any = found
    if not isinstance(found, AssociationProxy):
        return None
    relationship = inspect(model).relationships.get(proxy.target_collection)
    if relationship is None or find_proxy(relationship.mapper.class_, proxy.value_attr):
        raise TypeError(
            f"{model.__name__}.{name} is an association proxy to another proxy. Declare a property."
        )
    creator = proxy.creator or relationship.mapper.class_
    return Proxy(relationship, proxy.value_attr, creator)
