"""The base of operations.

An operation makes a plan from a request, and a response from the result of the plan.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from fastapi import Path, Request, Response
from pydantic import BaseModel

from brickwork.execution.eligibility import NotEligible
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.statement import StatementOperation
from brickwork.http.representation import Serializer
from brickwork.query.keys import PathKey, primary_key
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
        self._key_of: Callable[[Mapping[str, Any]], PathKey] = itemgetter(*definition.path_names)

    def row_key(self, request: Request) -> PathKey:
        """Return the key in the path of *request*."""
        return self._key_of(request.path_params)

    @property
    def writes(self) -> Sequence[type[BaseModel]]:
        """Return the schemas after which errors of the database name fields."""
        return ()

    @property
    def content(self) -> Any:
        """Return the type that executors serialise. None: the response model of the route."""
        return None

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

    def key_parameters(self) -> Mapping[str, Any]:
        """Return the parameters with the key of a row, for the documentation.

        A plan takes their texts from the path: a malformed key is not found.
        """
        schemas = primary_key(self.definition.model).schemas
        pairs = zip(self.definition.path_names, schemas, strict=True)
        return {
            f"key{number}": Annotated[str, Path(alias=name, json_schema_extra=dict(schema))]
            for number, (name, schema) in enumerate(pairs)
        }
