"""Settings from the environment."""

from typing import Final, Self

from pydantic import PositiveInt, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

_NO_KEYS: Final = (
    "Several WORKERS need CURSOR_KEYS, secrets of 32 characters or more as JSON. Otherwise each "
    "process would reject the cursors of the others."
)


class Settings(BaseSettings):
    """Settings of the service. Each has an environment variable of its name in capitals."""

    database_url: str = "sqlite+aiosqlite:///brickwork.db"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: PositiveInt = 1
    """Number of server processes."""
    cursor_keys: list[str] = []
    """Secrets that encrypt cursors, as JSON. All processes of the service need the same ones."""
    access_log: bool = True
    """Whether standard output has a line for each request."""
    development: bool = False
    """Whether the log at start-up names lists without an index."""

    @model_validator(mode="after")
    def _require_keys(self) -> Self:
        if self.workers > 1 and not (self.cursor_keys or self.development):
            raise PydanticCustomError("no_keys", _NO_KEYS)
        return self
