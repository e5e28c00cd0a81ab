"""Request limits."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a request, for `install`.

    - `body`, `url` and `headers`: bytes.
    - `depth`: nested arrays and objects of a document, itself included.
    - `values`: values of a document, including its arrays and objects.
    - `page`, `offset` and `batch`: rows.
    - `related`: related rows, or their keys, in one list of a body.
    """

    body: int = 1_048_576
    url: int = 8_192
    headers: int = 32_768
    depth: int = 64
    values: int = 50_000
    page: int = 100
    offset: int = 10_000
    batch: int = 100
    related: int = 100


MAX_ERRORS: Final = 100
"""The errors that a response lists at most. Validation stops there."""

MAX_NAME_LENGTH: Final = 64
"""The length of a name in a response. A pointer ends before a longer name."""

MAX_POINTER_BYTES: Final = 300
"""The total bytes of the names of a pointer. It ends before the name that exceeds them."""

current_limits: Final = ContextVar("brickwork.limits", default=Limits())  # noqa: B039 — it is frozen
"""The limits of the application that handles the request."""


@dataclass(frozen=True)
class LimitedTo:
    """Metadata of an integer: the limit that it must not exceed."""

    name: Literal["page", "offset"]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check a value against the limit of the current application."""
        return core_schema.no_info_after_validator_function(self._require_at_most, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the limit to the JSON schema as `maximum`."""
        return handler(schema) | {"maximum": self._limit()}

    def _require_at_most(self, value: int) -> int:
        if value <= self._limit():
            return value
        if self.name == "offset":
            text = "Input should be less than or equal to {le}: use the cursor of the Link header"
            raise PydanticCustomError("less_than_equal", text, {"le": self._limit()})
        raise PydanticKnownError("less_than_equal", {"le": self._limit()})

    def _limit(self) -> int:
        limit: int = getattr(current_limits.get(), self.name)
        return limit
