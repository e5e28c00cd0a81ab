"""Order of related rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import Alias, ColumnElement, Enum, Join, String, UnaryExpression
from sqlalchemy.orm import InstrumentedAttribute, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from brickwork.database.text import comparable


def related_order(
    relationship: RelationshipProperty[Any],
    key: Sequence[InstrumentedAttribute[Any]],
    joined: "Join[Any]",
) -> list[ColumnElement[Any]]:
    """Return a total order of the rows of *relationship*, the same on both databases.

    *key* has the primary key of the rows, and *joined* their FROM clause.
    """
    association = _association(relationship, joined)
    elements: list[ColumnElement[Any]] = [*(relationship.order_by or ())]
    if association is not None:  # the statement has an alias of the table
        elements = [_use_alias(association, term) for term in elements]
    terms = [_SortTerm.of(term) for term in elements]
    descending = terms[-1].descending if terms else True
    terms += [_SortTerm(column.expression, descending) for column in key]
    return [term.clause() for term in terms]


def _use_alias(association: Any, clause: ColumnElement[Any]) -> ColumnElement[Any]:
    """Replace columns in *clause* by the columns of the alias *association*."""

    def replace_column(element: Any, **_: Any) -> Any:
        is_column = isinstance(element, ColumnElement)
        return association.corresponding_column(element) if is_column else None

    result: ColumnElement[Any] = replacement_traverse(clause, {}, replace_column)
    return result


def _association(relationship: RelationshipProperty[Any], joined: "Join[Any]") -> Any:
    """Return the alias of the association table in *joined*. None without one."""
    for element in iterate(joined):
        if isinstance(element, Alias) and vars(element)["element"] is relationship.secondary:
            return cast("Any", element)
    return None


@dataclass(frozen=True)
class _SortTerm:
    """A term of ORDER BY."""

    element: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    """Whether NULL comes first. None: NULL is above every value."""

    @classmethod
    def of(cls, element: ColumnElement[Any]) -> "_SortTerm":
        """Return the term for *element* of an `order_by`."""
        if not isinstance(element, UnaryExpression) or element.modifier not in _MODIFIERS:
            return cls(element)
        within: ColumnElement[Any] = element.element
        changes: Any = _MODIFIERS[element.modifier]
        return replace(cls.of(within), **changes)

    def clause(self) -> ColumnElement[Any]:
        """Return the SQL of the term."""
        column = _comparable_element(self.element)
        clause = column.desc() if self.descending else column.asc()
        if not getattr(self.element, "nullable", True):
            return clause
        first = self.descending if self.nulls_first is None else self.nulls_first
        return clause.nulls_first() if first else clause.nulls_last()


def _comparable_element(element: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *element* in a form that both databases sort alike, unless it has a collation."""
    if getattr(element, "operator", None) is operators.collate:
        return element
    # PostgreSQL sorts an enumeration in the order of its declaration.
    return comparable(element.cast(String) if isinstance(element.type, Enum) else element)


_MODIFIERS: Final[Mapping[Any, Mapping[str, bool]]] = {
    operators.asc_op: {"descending": False},
    operators.desc_op: {"descending": True},
    operators.nulls_first_op: {"nulls_first": True},
    operators.nulls_last_op: {"nulls_first": False},
}
