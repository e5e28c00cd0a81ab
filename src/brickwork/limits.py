"""How much of everything a request may have: finite by default, in one place."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an application takes at most; give it to `install` to change it.

    `body`, `url` and `headers` are bytes, `depth` counts arrays and objects within each other,
    the whole document included, `values` counts the values of a document, arrays and objects among
    them, `page` and `offset` are rows.
    """

    body: int = 1_048_576
    url: int = 8_192
    headers: int = 32_768
    depth: int = 64
    values: int = 50_000
    page: int = 100
    offset: int = 10_000
    batch: int = 100


MAX_ERRORS: Final = 100
"""How many faults of a request an answer names at most; validation ends when it has found them."""

MAX_NAME_LENGTH: Final = 64
"""How long a name in an answer may be; a pointer ends before a longer one."""

MAX_POINTER_BYTES: Final = 300
"""How many bytes the names of a pointer may have together; it ends before the name beyond that."""

current_limits: Final = ContextVar("brickwork.limits", default=Limits())  # noqa: B039 — it is frozen
"""The limits of the application whose request is being answered."""


@dataclass(frozen=True)
class LimitedTo:
    """On an integer of a query: no more than the limit of this name."""

    name: Literal["page", "offset"]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check against the limit in force when a value comes."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Say what the limit is to those who read openapi.json."""
        return handler(schema) | {"maximum": self._limit()}

    def _check(self, value: int) -> int:
        if value <= self._limit():
            return value
        if self.name == "offset":
            text = "Input should be less than or equal to {le}: go on with cursor, as Link has it"
            raise PydanticCustomError("less_than_equal", text, {"le": self._limit()})
        raise PydanticKnownError("less_than_equal", {"le": self._limit()})

    def _limit(self) -> int:
        limit: int = getattr(current_limits.get(), self.name)
        return limit
