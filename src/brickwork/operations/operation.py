"""The base of operations.

An operation makes a plan from a request, and a response from the result of the plan.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

from fastapi import Path, Request, Response
from pydantic import BaseModel

from brickwork.execution.eligibility import NotEligible
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.statement import StatementOperation
from brickwork.http.representation import Serializer
from brickwork.query.keys import key_type
from brickwork.resource.definition import ResourceDefinition

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")


class Operation(ABC, Generic[M, P, R]):
    """One operation of a resource. `P` is its plan, `R` its result."""

    is_idempotent: ClassVar = False
    """Whether a client may send an Idempotency-Key."""

    def __init__(self, definition: ResourceDefinition[M]) -> None:
        """Take the *definition* of the resource."""
        self.definition = definition

    @property
    def writes(self) -> Sequence[type[BaseModel]]:
        """Return the schemas after which errors of the database name fields."""
        return ()

    def parameters(self) -> Mapping[str, Any]:
        """Return the annotations of the parameters, which FastAPI parses and documents.

        A parameter with a default is a tuple of both.
        """
        return {}

    def statement(self) -> StatementOperation[M, P, R]:
        """Return the operation as one statement. Raises `NotEligible` if it has none."""
        raise NotEligible("it has no fast operation")

    @abstractmethod
    def plan(self, request: Request, values: Mapping[str, Any]) -> P:
        """Return the plan of *request*, from the *values* of its parameters.

        Raises the problem with a header.
        """

    @abstractmethod
    async def run(self, executor: UnitOfWorkExecutor[M], plan: P) -> R | Response:
        """Execute *plan* in the transaction of the request. Raises its problem."""

    @abstractmethod
    def respond(self, request: Request, plan: P, result: R, serializer: Serializer) -> Response:
        """Return the response with *result*."""

    def key_parameter(self) -> Mapping[str, Any]:
        """Return the parameter with the key of a row, for the documentation.

        A plan takes the text from the path: nothing is invalid in it.
        """
        schema = key_schema(self.definition.model)
        return {"key": Annotated[str, Path(alias="id", json_schema_extra=schema)]}


def key_schema(model: type[object]) -> dict[str, Any]:
    """Return the JSON schema of a key. Keys are parsed as text: a malformed key is not found."""
    schemas: dict[type, dict[str, Any]] = {
        UUID: {"type": "string", "format": "uuid"},
        int: {"type": "integer"},
        str: {"type": "string"},
    }
    return next(schema for kind, schema in schemas.items() if issubclass(key_type(model), kind))
