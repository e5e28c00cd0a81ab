"""Plans of operations, as data.

An operation makes a plan from a request. An executor reads or writes what the plan says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request

from brickwork.execution.fieldsets import Fieldset
from brickwork.http.conditional import Preconditions
from brickwork.models.soft_delete import DeletedFilter
from brickwork.query.keys import PathKey
from brickwork.query.list_query import ListQuery
from brickwork.resource.row_schemas import RowSchemas
from brickwork.schemas.schema import Schema

M = TypeVar("M")


@dataclass(slots=True, frozen=True)
class GetPlan:
    """Read the row with *key*, the text of the path."""

    key: PathKey
    preconditions: Preconditions


@dataclass(slots=True, frozen=True)
class ListPlan(Generic[M]):
    """Read the page for *params*."""

    params: ListQuery[M]
    read: RowSchemas
    deleted: DeletedFilter | None
    fieldset: Fieldset | None
    """The fields that the client asks for. None for all fields of `read`."""
    export: Request | None
    """The request for an export of all pages. None for one page."""
    url: tuple[object, ...]
    """What the links of the page depend on. Equal plans with equal URLs have one response."""


@dataclass(slots=True, frozen=True)
class HistoryPlan:
    """Read the page of the audit entries of the row with *key*."""

    key: PathKey
    params: ListQuery[Any]
    deleted: DeletedFilter | None


@dataclass(slots=True, frozen=True)
class InsertPlan:
    """Insert a row with the values of *data*."""

    data: Schema
    minimal: bool = False
    """Whether the client asks for no body."""


@dataclass(slots=True, frozen=True)
class InsertManyPlan:
    """Insert a row for each of *items*, or none."""

    items: Sequence[Schema]


@dataclass(slots=True, frozen=True)
class UpdatePlan:
    """Merge *data* with the row, if it meets the *preconditions*."""

    key: PathKey
    data: Schema
    preconditions: Preconditions


@dataclass(slots=True, frozen=True)
class ReplacePlan:
    """Replace the values of the row by *data*, or create the row if the resource allows it."""

    key: PathKey
    data: Schema
    preconditions: Preconditions


@dataclass(slots=True, frozen=True)
class UpdateManyPlan:
    """Merge each of *items* with the row that it names, or none."""

    items: Sequence[Schema]


@dataclass(slots=True, frozen=True)
class DeletePlan:
    """Delete the row, or mark it as deleted, if it meets the *preconditions*."""

    key: PathKey
    preconditions: Preconditions
    allow_missing: bool
    purge: bool


@dataclass(slots=True, frozen=True)
class DeleteManyPlan:
    """Delete the rows with *keys*, or none."""

    keys: Sequence[str]


@dataclass(slots=True, frozen=True)
class RestorePlan:
    """Undo the soft delete of the row, if it meets the *preconditions*."""

    key: PathKey
    preconditions: Preconditions
